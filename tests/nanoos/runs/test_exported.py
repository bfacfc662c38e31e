"""Results in our own JSON Lines: what is no result is told, and the other lines are read."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from nanoos.errors import ParseError
from nanoos.parsers import Source
from nanoos.runs import Run, RunFolder, Step
from nanoos.runs.exported import Exported
from nanoos.runs.find import runs_in

LINE: dict[str, Any] = {
    "nano_os": {"kind": "structure", "version": 1},
    "name": "copper",
    "lattice_a": [[3.6, 0, 0], [0, 3.6, 0], [0, 0, 3.6]],
    "positions_a": [[0, 0, 0]],
    "species": [{"name": "Cu", "chemical_symbols": ["Cu"], "concentration": [1.0]}],
    "species_at_sites": ["Cu"],
    "dimension_types": [1, 1, 1],
    "origin": "upload",
    "source_name": "old/run",
    "source_format": "vasp",
    "extra": {},
    "result": {
        "id": "01a22bb8-dd61-759c-aef4-bdb06b432b37",
        "job_id": "01a22bb8-dd61-759c-aef4-bdb06b432b38",
        "workflow": None,
        "engine": "vasp",
        "origin": "imported",
        "project": None,
        "is_converged": True,
        "method": {"code": "VASP", "functional": "PBE"},
        "method_sha256": "0" * 64,
        "forces_ev_per_a": [[0.1, 0.2, 0.3]],
        "stress_gpa": None,
        "magnetic_moments_mu_b": None,
        "convergence": {},
        "data": {},
        "provenance": {"reader": "vasp"},
        "artifacts": [],
        "wall_time_s": 1.5,
        "n_cores": None,
        "created_at": "2026-11-30T09:11:06.967603Z",
        "energy_ev": -3.5,
        "bulk_modulus_gpa": None,
    },
}
"""As exports of earlier releases are: without the job's parameters, times and source."""


def given(**result: Any) -> str:
    return json.dumps(LINE | {"result": LINE["result"] | result}) + "\n"


def left(**other: Any) -> dict[str, Any]:
    return {"lattice": LINE["lattice_a"], "positions": [[0, 0, 0]], "symbols": ["Cu"], **other}


def folder(text: str) -> RunFolder:
    return RunFolder("shelf", {"x.jsonl": Source.of_text(text, "x.jsonl")})


def read(text: str) -> list[Step | Run]:
    (found,) = runs_in(folder(text))
    assert found.reader == "exported"

    return list(Exported().read(found.folder))


def test_a_line_is_a_run_of_one_step() -> None:
    step, run = read(given())
    assert isinstance(step, Step)
    assert isinstance(run, Run)
    assert (step.energy_ev, step.place) == (-3.5, None)
    assert np.array_equal(step.forces_ev_per_a, [[0.1, 0.2, 0.3]])
    assert (run.method.code, run.method.functional) == ("VASP", "PBE")
    assert run.initial is not None
    assert run.initial.symbols == ["Cu"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"energy_ev": "low"}, "result.energy_ev: Input should be a valid number"),
        ({"id": "1"}, "result.id: Input should be a valid UUID"),
        ({"method": {"functional": "PBE"}}, "No document of a method"),
        ({"method": {"code": ["VASP"], "cutoff_ev": "high"}}, "No document of a method"),
        ({"forces_ev_per_a": [[1, 2]]}, "result.forces_ev_per_a.0.2: Field required"),
        ({"n_cores": 0}, "result.n_cores: Input should be greater than or equal to 1"),
        ({"n_cores": 2**31}, "result.n_cores: Input should be less than"),
        ({"forces_ev_per_a": [[1, 2, 3]] * 2}, "2 forces or magnetic moments are said of 1 sites"),
        ({"data": {"next_geometry": {"values": left(lattice=[[1, 2], [3]])}}}, "is no geometry"),
        ({"data": {"next_geometry": {"values": left(symbols=["Xx"])}}}, "Xx"),
        ({"data": {"next_geometry": {"values": left(symbols=[])}}}, "Line 2"),
        ({"provenance": {"files": ["OUTCAR"]}}, "files says no names with their sha256"),
        ({"status": "queued"}, "result.status"),
        ({"data": {"bands": {"artifact": "0" * 64}}}, "refers to an artifact"),
        ({"data": {"next_geometry": {"values": {"lattice": 1}}}}, "is no geometry"),
        ({"input_structure": {"positions_a": None}}, "positions"),
    ],
)
def test_a_line_that_is_no_result_is_told_and_the_others_are_read(
    wrong: dict[str, Any], said: str
) -> None:
    (found,) = runs_in(folder(given() + given(**wrong) + given()))
    reader = Exported()
    came = []
    with pytest.raises(ParseError, match="Left out: Line 2: ") as error:
        came.extend(reader.read(found.folder))
    assert said in str(error.value)
    assert [one.place for one in came if isinstance(one, Step)] == [1, 3]


def test_structures_alone_are_no_runs() -> None:
    text = json.dumps({name: value for name, value in LINE.items() if name != "result"})
    assert runs_in(folder(text + "\n" + text)) == []
