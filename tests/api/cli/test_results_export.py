"""What is calculated is traced, exported with its numbers, read back, and done again."""

from __future__ import annotations

import json
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.db import connect

import api
from nanoos import plugins
from nanoos.runs.find import find, runs_in

if TYPE_CHECKING:
    from conftest import Invoke

RUNS = Path(__file__).parents[2] / "fixtures" / "runs"
EXAMPLES = Path(__file__).parents[3] / "examples" / "crystals"
ATOMS = 1024
"""So many that their forces are too large for the row."""


@pytest.fixture
def job(invoke: Invoke, home: Path, tmp_path: Path) -> str:
    """A single point of copper out of its places; its job."""
    copper = bulk("Cu", cubic=True).repeat((8, 8, 4))
    copper.rattle(0.05, seed=1)
    assert len(copper) == ATOMS
    ase.io.write(tmp_path / "copper.extxyz", copper, columns=["symbols", "positions"])
    invoke("structures", "import", tmp_path / "copper.extxyz")
    (id_,) = invoke("jobs", "submit", "single_point", "--all", "--json").json["submitted"]
    invoke("worker", "--drain")
    return str(id_)


def check_crate(crate: Path, job: str) -> None:
    with ZipFile(crate) as archive:
        metadata = json.loads(archive.read("ro-crate-metadata.json"))
        known = {entity["@id"]: entity for entity in metadata["@graph"]}
        files = [one["@id"] for one in known["./"]["hasPart"]]
        assert sorted([*files, "ro-crate-metadata.json"]) == sorted(archive.namelist())
        for name in files:
            assert sha256(archive.read(name)).hexdigest() == known[name]["sha256"]
        (numbers,) = (name for name in files if name.endswith("result.json"))
        assert json.loads(archive.read(numbers))["job_id"] == job
    (action,) = (known[one["@id"]] for one in known["./"]["mentions"])
    assert known[action["instrument"]["@id"]]["name"] == "ASE EMT"
    assert {one["@id"] for one in action["object"] + action["result"]} <= known.keys()
    assert known["./"]["license"]["@id"].endswith("CC-BY-4.0")
    if find_spec("rocrate"):
        from rocrate.rocrate import ROCrate

        assert len(list(ROCrate(crate).data_entities)) == len(files)


@pytest.mark.slow
def test_a_result_is_traced_exported_and_reproduced(
    invoke: Invoke, job: str, tmp_path: Path
) -> None:
    shown = invoke("results", "show", job, "--json").json
    forces = np.array(shown["data"]["forces"]["values"])
    assert forces.shape == (ATOMS, 3)  # out of an artifact
    assert [one["name"] for one in shown["artifacts"]] == ["forces.json.zst"]
    with api.session() as db:
        assert db.result(job).data == shown["data"]
    traced = invoke("results", "show", job, "--provenance", "--json").json
    assert (traced["workflow"], traced["workflow_version"]) == ("single_point", "1")
    assert traced["packages"].keys() >= {"nano-os", "ase"}
    assert traced["method"]["code"] == "ASE EMT"
    assert [one["outcome"] for one in traced["attempts"]] == ["succeeded"]
    assert "EMT" in invoke("results", "show", job, "--provenance").stdout

    # Exported, ASE computes and reads the same.
    file = tmp_path / "out.extxyz"
    assert invoke("results", "export", "--all", "-o", file, "--json").json["written"] == 1
    read = ase.io.read(file)
    assert read.get_potential_energy() == shown["quantities"]["energy_ev"]
    assert np.array_equal(read.get_forces(), forces)
    own = read.copy()
    own.calc = EMT()
    assert np.allclose(own.get_forces(), forces, atol=1e-9)
    assert np.allclose(own.get_stress(), read.get_stress(), atol=1e-12)
    invoke("results", "export", job, "-o", tmp_path / "out.db")
    (row,) = connect(tmp_path / "out.db").select()
    assert row.energy == shown["quantities"]["energy_ev"]
    assert np.array_equal(row.forces, forces)
    (line,) = invoke("results", "export", job, "--format", "jsonl", "-o", "-").stdout.splitlines()
    result = json.loads(line)["result"]
    assert result["energy_ev"] == shown["quantities"]["energy_ev"]
    assert result["forces_ev_per_a"] == forces.tolist()
    assert result["provenance"]["engine"] == "emt"
    assert "no place" in invoke("results", "export", job, "-o", "x.cif", exits=2).stderr

    crate = tmp_path / "crate.zip"
    invoke("results", "crate", job, "-o", crate, "--licence", "CC-BY-4.0")
    check_crate(crate, job)

    # Read back, by the same method: one of the two files, for their contents are one result each.
    invoke("results", "import", file, "--workers", 1)
    (again,) = invoke("results", "list", "--origin", "imported", "--json").json["results"]
    assert again["method_sha256"] == shown["method_sha256"]
    compared = invoke("results", "compare", job, again["id"], "--json", exits=None).json
    agrees = {one["name"]: one["agrees"] for one in compared["numbers"]}
    assert agrees["energy_ev"]
    assert agrees["forces"]
    assert agrees["pressure_gpa"]

    found = invoke("results", "reproduce", job, "--now", "--json").json
    assert found["agrees"]
    assert {one["name"] for one in found["numbers"]} >= {"energy_ev", "forces", "stress"}
    assert found["changed"] == []
    repeated = invoke("results", "reproduce", job, "--json").json["job_id"]
    assert invoke("jobs", "show", repeated, "--json").json["repetition"] == 1
    assert "imported" in invoke("results", "reproduce", again["id"], exits=2).stderr


@pytest.mark.slow
def test_runs_that_were_imported_are_exported_as_their_files_had_them(
    invoke: Invoke, home: Path, tmp_path: Path
) -> None:
    invoke("results", "import", RUNS / "espresso/scf", "--workers", 1)
    (row,) = invoke("results", "list", "--json").json["results"]
    shown = invoke("results", "show", row["id"], "--json").json
    found = shown["provenance"]["found"]
    assert found["path"] == str(RUNS / "espresso/scf")
    table = tmp_path / "out.parquet"
    invoke("results", "export", "--engine", "espresso", "-o", table)
    pandas = pytest.importorskip("pandas")
    (line,) = pandas.read_parquet(table).to_dict("records")
    assert line["result_energy_ev"] == shown["quantities"]["energy_ev"]
    assert np.array_equal(np.stack(line["result_stress_gpa"]), shown["data"]["stress"]["values"])
    assert found["path"] not in line["result_provenance"]  # it is the owner's
    assert json.loads(line["result_provenance"])["files"] == shown["provenance"]["files"]
    none = invoke("results", "export", "--engine", "vasp", "-o", table, exits=1).stderr
    assert "No result" in none


def lines(path: Path) -> dict[str, dict[str, Any]]:
    """Return what an export says, without what differs from database to database."""
    found = {}
    for line in path.read_text().splitlines():
        said = json.loads(line)
        result = said["result"]
        first = result["provenance"].pop("result_id", result["id"])
        known_by = result["source_sha256"] if result["engine"] != "emt" else first
        for name in ("id", "job_id", "created_at", "artifacts"):
            result.pop(name)
        result["provenance"].pop("artifacts_elsewhere", None)
        found[known_by] = said
    return found


@pytest.mark.slow
def test_what_is_exported_as_json_lines_comes_in_again_as_it_was(
    invoke: Invoke, home: Path, tmp_path: Path
) -> None:
    runs = [RUNS / "espresso/vc_steps_exhausted", RUNS / "vasp/magnetic"]
    (folder,) = find([runs[1]])
    (run,) = runs_in(folder)
    one = ("--workers", 1)
    step = next(iter(plugins.get("nanoos.runs", run.reader)().read(run.folder)))
    turned = step.structure.to_ase()[::-1]  # the database has the crystal in another order
    turned.rotate(30, "x", rotate_cell=True)
    ase.io.write(tmp_path / "known.extxyz", turned)
    invoke("structures", "import", tmp_path / "known.extxyz", EXAMPLES / "copper_0011145.cif")
    invoke("results", "import", *runs, "--project", "old", *one)
    submitted = invoke("jobs", "submit", "single_point", "--all", "--json").json["submitted"]
    (job,) = submitted  # what is known beside cannot be calculated by EMT
    invoke("worker", "--drain")

    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    invoke("results", "export", "--all", "-o", first)
    shown = invoke("results", "show", job, "--json").json
    said = invoke("results", "import", first, "--json", *one).json
    assert (said["imported"], said["existing"]) == (0, 3)

    invoke("results", "delete", "--all", "--yes")
    said = invoke("results", "import", first, "--json", *one).json
    assert (said["imported"], said["failed"]) == (3, [])
    invoke("results", "export", "--all", "-o", second)
    before, after = lines(first), lines(second)
    magnetic = next(one for one in before.values() if one["result"]["engine"] == "vasp")
    assert magnetic["positions_a"] == step.structure.positions_a.tolist()
    was, is_ = before[shown["id"]]["result"], after[shown["id"]]["result"]
    assert is_["parameters"] == {"task": "single_point", "input": shown["parameters"]}
    for name in ("origin", "workflow", "parameters"):  # it is imported now
        del was[name], is_[name]
    for name in ("source_name", "source_sha256", "source_place"):
        del was[name], is_[name]
    assert after == before
    said = invoke("results", "import", first, second, *runs, "--json", *one).json
    assert (said["imported"], said["existing"]) == (0, 8)
