"""Runs as rows on their way into the database; made where they are read, in any process.

Nothing here imports SQLAlchemy: the processes that read files start the faster.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
from uuid_utils.compat import uuid7

from api.artifacts import Artifacts
from api.services import exported_rows
from api.services.arrays import geometry, left_behind, set_aside
from api.services.run_steps import Steps
from api.services.structure_rows import Candidate, Refusal, Row, row
from nanoos import methods, plugins
from nanoos.canonical import sha256
from nanoos.errors import NanoError, ParseError
from nanoos.runs import Run, RunReader, Step
from nanoos.runs.find import FoundRun, digest
from nanoos.structures import Analysis, Structure, analyse
from nanoos.structures.sameness import is_same_geometry

READ = "api.services.run_rows:read"
"""The work that a pool of processes does."""

TICK_S = 1.0
"""A long run is heard of so often, or it would be taken for one that hangs."""
RELAXED_EV_PER_A = 0.05
"""A relaxation that does not say whether it converged did where no force is larger."""
ENERGIES = ("energy_ev", "free_energy_ev", "energy_without_entropy_ev")


class RunReading(NamedTuple):
    """A run that is to be read, and where its steps are stored."""

    run: FoundRun
    artifacts: str


class RunRow(NamedTuple):
    """A run ready to be stored: its structures, and the values of its job and of its result.

    ``final`` is the last geometry where it is another than the first, ``result`` None where the
    run left no number. ``place`` says which of the runs of its files it is, ``first_id`` the id
    that a result had which an export wrote.
    """

    initial: Row
    final: Row | None
    job: dict[str, Any]
    result: dict[str, Any] | None
    method: methods.Method
    place: int
    is_last: bool = False
    first_id: UUID | None = None


class Tick(NamedTuple):
    """A sign of life while a long run is read: steps so far."""

    steps: int


def read(reading: RunReading) -> Iterator[RunRow | Refusal | Tick]:
    """Do the work `READ`; see `rows`. Raises ParseError where the files change meanwhile."""
    reader: RunReader = plugins.get("nanoos.runs", reading.run.reader)()
    return rows(reading.run, _unchanged(reading.run, reader), Artifacts(reading.artifacts))


def _unchanged(found: FoundRun, reader: RunReader) -> Iterator[Step | Run]:
    """Yield what is read as long as the files stay as they were: a run may go on."""
    before = [source.state() for source in found.folder.files.values()]
    for one in reader.read(found.folder):
        if isinstance(one, Run):
            now = [source.state() for source in found.folder.files.values()]
            if now != before:
                raise ParseError(
                    "The files changed while they were read. Import them when the run has ended."
                )
        yield one


def rows(
    found: FoundRun, read: Iterator[Step | Run], artifacts: Artifacts
) -> Iterator[RunRow | Refusal | Tick]:
    """Yield a row for each run that is read. Raises ParseError where there is none.

    A run of several steps has them stored as an artifact before its row comes.
    """
    held: RunRow | Refusal | None = None  # until it is known whether it is the last
    heard, place = time.monotonic(), 0
    with ExitStack() as open_:
        steps = Steps(artifacts, open_)
        try:
            for one in read:
                if isinstance(one, Run):
                    if held is not None:
                        yield held
                    place += 1
                    held = _row_or_refusal(found, one, steps, place)
                    steps = Steps(artifacts, open_)
                    continue
                steps.add(one)
                if time.monotonic() - heard > TICK_S:
                    heard = time.monotonic()
                    yield Tick(steps.number)
        except NanoError:
            if held is not None:
                yield held
            raise
    if held is None:
        raise ParseError("It holds no run.")
    yield held._replace(is_last=True) if isinstance(held, RunRow) else held


def _row_or_refusal(found: FoundRun, run: Run, steps: Steps, place: int) -> RunRow | Refusal:
    try:
        return _row(found, run, steps, place)
    except NanoError as error:
        return Refusal(str(error), None, place)


def _row(found: FoundRun, run: Run, steps: Steps, place: int) -> RunRow:
    last = steps.last
    structure = run.initial
    if structure is None:
        if steps.first is None:
            raise ParseError("It holds no geometry.")
        structure = steps.first.structure
    name = run.name if run.exported else PurePosixPath(run.name).name
    source: dict[str, Any] = {"source_format": found.reader, "source_name": found.folder.name}
    if run.exported is not None:
        source = exported_rows.source(run.exported, run.extra)
    initial = Candidate(
        structure=structure,
        analysis=analyse(structure),
        name=name or None,
        **source,
    )
    final = _final(initial, run, last)
    initial_row = row(initial)
    final_row = None
    if final is not None:
        final_row = row(_derived(initial, *final, run, initial_row))
    return RunRow(
        initial=initial_row,
        final=final_row,
        job=_job(found, run, place),
        result=_result(found, run, steps),
        method=run.method,
        place=place,
        first_id=exported_rows.first_id(run.exported.result) if run.exported else None,
    )


def _final(initial: Candidate, run: Run, last: Step | None) -> tuple[Structure, Analysis] | None:
    """Return the last geometry and its analysis, None where it is as good as the first."""
    if last is None or run.task == "single_point":
        return None
    if is_same_geometry(initial.structure, last.structure):
        return None  # what moved by no more than is printed may have stayed
    analysis = analyse(last.structure)
    return (
        None
        if analysis.fingerprint == initial.analysis.fingerprint
        else (
            last.structure,
            analysis,
        )
    )


def _derived(
    initial: Candidate, structure: Structure, analysis: Analysis, run: Run, parent: Row
) -> Candidate:
    return Candidate(
        structure=structure,
        analysis=analysis,
        name=initial.name,
        source_format=initial.source_format,
        source_name=initial.source_name,
        extra=initial.extra,
        origin="relaxed" if run.task == "relax" else "snapshot",
        parent_id=UUID(bytes=parent.id),
    )


ENDS = {
    "unfinished": ("Unfinished", "The output ends before the program did."),
    "crashed": ("Crashed", "The program stopped with an error."),
    "time_limit": ("TimeLimit", "The program was stopped at its time limit."),
}
"""How a run that did not end by itself is called, and what is said where its files say nothing."""


def _job(found: FoundRun, run: Run, place: int) -> dict[str, Any]:
    if run.exported is not None:
        return {"id": uuid7()} | exported_rows.job(run.exported.result, plain(found.folder.name))
    parameters = {"task": run.task, "input": plain(run.parameters)}
    error_type, said = ENDS.get(run.end, (None, None))
    finished_at = None
    if run.started_at is not None and run.wall_time_s is not None:
        finished_at = run.started_at + timedelta(seconds=run.wall_time_s)
    return {
        "id": uuid7(),
        "engine": found.reader,
        "parameters": parameters,
        "parameters_sha256": sha256(parameters),
        "status": "failed" if error_type else "succeeded",
        "progress": 0.0 if error_type else 1.0,
        "error": error_type and (plain(run.message) or said),
        "error_type": error_type,
        "started_at": run.started_at,
        "finished_at": finished_at,
        "source_name": plain(found.folder.name),
        "source_sha256": digest(found.folder),
        "source_place": place,
    }


def _result(found: FoundRun, run: Run, steps: Steps) -> dict[str, Any] | None:
    """Return the values of the result; None of a run that left not even what it cost."""
    last = steps.last
    if run.exported is not None and last is not None:
        numbers = exported_rows.result(run, last.structure, steps.artifacts, plain(found.place))
        return numbers | {"id": uuid7(), "method_sha256": methods.sha256(run.method)}
    numbers = _of_run(run) | (_of_step(last) if last is not None else {})
    if all(value is None for value in numbers.values()):
        return None
    convergence = _convergence(run, steps)
    data, arrays = set_aside(_data(run, last), steps.artifacts)
    return (
        dict.fromkeys(_OF_STEP)
        | numbers
        | {
            "id": uuid7(),
            "data": data,
            "is_converged": bool(convergence["converged"]),
            "convergence": convergence,
            "method_sha256": methods.sha256(run.method),
            "artifacts": [*steps.stored(), *arrays],
            "provenance": {
                "reader": found.reader,
                "source": plain(found.folder.name),
                "run": plain(run.name),
                "files": plain(run.files),
                "place": last and last.place,
                "place_in": plain(run.steps_in) or _only(found) if last and last.place else None,
                "found": {"host": platform.node(), "path": plain(found.place)},
                "host": plain(run.host),
                "extra": plain(run.extra),
            },
        }
    )


def _only(found: FoundRun) -> str | None:
    """Return the file that the numbers were read from, where there is one alone."""
    files = [*(found.folder.outputs or found.folder.files)]
    return plain(files[0]) if len(files) == 1 else None


def _of_run(run: Run) -> dict[str, Any]:
    return {
        "band_gap_ev": _number(run.band_gap_ev),
        "total_magnetization_mu_b": _number(run.total_magnetization_mu_b),
        "n_cores": run.n_cores if run.n_cores and run.n_cores > 0 else None,
        "wall_time_s": _number(run.wall_time_s),
    }


_OF_STEP = (
    *ENERGIES,
    "energy_ev_per_atom",
    "max_force_ev_per_a",
    "pressure_gpa",
    "volume_a3",
    "volume_a3_per_atom",
)


def _of_step(step: Step) -> dict[str, Any]:
    structure = step.structure
    found = {name: _number(getattr(step, name)) for name in ENERGIES}
    energy_ev, volume_a3 = found["energy_ev"], structure.volume_a3
    pressure_gpa = None if step.stress_gpa is None else -np.trace(step.stress_gpa) / 3
    return found | {
        "energy_ev_per_atom": None if energy_ev is None else energy_ev / structure.n_sites,
        "max_force_ev_per_a": _largest(step.forces_ev_per_a),
        "pressure_gpa": _number(pressure_gpa),
        "volume_a3": volume_a3,
        "volume_a3_per_atom": volume_a3 and volume_a3 / structure.n_sites,
    }


def _convergence(run: Run, steps: Steps) -> dict[str, Any]:
    is_refuted = False in (run.is_electronically_converged, run.is_ionically_converged)
    said = {
        "electronic": run.is_electronically_converged,
        "ionic": run.is_ionically_converged,
        "message": plain(run.message),
        "electronic_steps": steps.last and steps.last.electronic_steps,
    }
    problems: list[str] = list(run.problems)
    if not is_refuted and not _is_relaxed(run, steps.last):
        problems.append("not_known_to_be_relaxed")
    return {
        "converged": run.end == "finished" and not problems and not is_refuted,
        "end": run.end,
        "problems": problems,
        "ionic_steps": steps.number,
    } | {name: value for name, value in said.items() if value is not None}


def _is_relaxed(run: Run, last: Step | None) -> bool:
    """Say whether a relaxation ended with small forces or says so; other tasks have none to end."""
    if run.task != "relax" or run.is_ionically_converged:
        return True
    largest = None if last is None else _largest(last.forces_ev_per_a)
    return largest is not None and largest <= RELAXED_EV_PER_A


def _data(run: Run, last: Step | None) -> dict[str, Any]:
    """Return further quantities, and the arrays of the last step."""
    found: dict[str, tuple[Any, str]] = {
        "fermi_energy": (_number(run.fermi_energy_ev), "eV"),
        "is_gap_direct": (run.is_gap_direct, "1"),
    }
    if last is not None:
        found |= {
            "forces": (_values(last.forces_ev_per_a), "eV/Å"),
            "magnetic_moments": (_values(last.magnetic_moments_mu_b), "μB"),
            "stress": (_values(last.stress_gpa), "GPa"),
        }
    has_arrays = last and (last.forces_ev_per_a is not None or last.stress_gpa is not None)
    said = {
        name: {"values": values, "unit": unit}
        for name, (values, unit) in found.items()
        if values is not None
    }
    places = geometry(last.structure) if last and has_arrays else {}
    return places | said | left_behind(run.next_structure)


def _number(value: Any) -> float | None:
    """Return a number that can be stored, None where there is none or it is not finite."""
    return float(value) if value is not None and math.isfinite(value) else None


def _largest(forces_ev_per_a: Any) -> float | None:
    if forces_ev_per_a is None or not len(forces_ev_per_a):
        return None
    return _number(np.linalg.norm(forces_ev_per_a, axis=1).max())


def _values(array: Any) -> Any:
    return None if array is None else plain(np.asarray(array, dtype=np.float64).tolist())


def plain(value: Any) -> Any:
    """Return what JSON and PostgreSQL can hold: no NaN, no zero characters, no foreign types."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in value]
    if isinstance(value, np.generic | np.ndarray):
        return plain(value.tolist())
    return str(value).replace("\0", "").encode(errors="replace").decode()
