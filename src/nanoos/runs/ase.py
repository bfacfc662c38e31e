"""ASE: databases (``.db``, ``.json``) and trajectories (``.traj``) with results.

The rows of a database do not follow from each other: each is a run of one step. The frames of a
trajectory do, as long as they are of the same atoms: they are the steps of one run. It is a
relaxation or molecular dynamics where ASE noted that in the file, a relaxation also where energy
and largest force are lowest at the end, and anything else where they are not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from nanoos.errors import NanoError, ParseError
from nanoos.parsers import Source, ase_db, ase_json, ase_traj
from nanoos.parsers.ase_atoms import parsed_row
from nanoos.parsers.sqlite import MAGIC
from nanoos.runs.ase_method import method, parameters_of, stated_method, stated_problems
from nanoos.runs.ase_results import (
    each_alone,
    has_results,
    is_falling,
    largest_force,
    number,
    step,
    told,
)
from nanoos.runs.run import Run, RunFolder, Step, Task

Row = Mapping[str, Any]
Rows = Callable[[Source], Iterator[tuple[Any, Row | ParseError]]]

_HEAD_BYTES = 8192
_LOOKED_AT = 1000  # rows, for one with results
_TABLE = b"CREATE TABLE systems"
_TASKS: Mapping[Any, Task] = {
    "optimization": "relax",
    "molecular-dynamics": "molecular_dynamics",
}


class Ase:
    """The reader of ASE's databases and trajectories."""

    name = "ase"

    def runs(self, folder: RunFolder) -> list[RunFolder]:
        """Return each file with results, and each that is damaged."""
        found = []
        for name, source in folder.files.items():
            rows = _rows_of(source)
            if rows is not None and _may_have_results(rows(source)):
                found.append(folder.alone(name))
        return found

    def read(self, run: RunFolder) -> Iterator[Step | Run]:
        """Yield each row and its run, or the steps of a trajectory and their run.

        Raises ParseError when nothing has results.
        """
        for name, source in run.files.items():
            file = _File(run.name, name, source)
            rows = _rows_of(source)
            if rows is ase_traj.rows:
                yield from _Trajectory(file).read()
            elif rows is not None:
                yield from each_alone(_of_database(file, rows(source)))


@dataclass(frozen=True)
class _File:
    """A file, and what it is called."""

    path: str
    name: str
    source: Source

    def run(self, name: str, last: Step, row: Row) -> Run:
        """Return the run of one step, with what its row says of the calculation."""
        pairs = row.get("key_value_pairs")
        said = pairs if isinstance(pairs, Mapping) else {}
        parameters = row.get("calculator_parameters")
        ours = _of_ours(row)
        return Run(
            name=name,
            method=stated_method(ours.get("method"))
            or method(
                row.get("calculator"),
                parameters,
                last.structure,
                self.source.sha256,
                functional=said.get("xc", said.get("functional")),
                ase_version=row.get("ase_version"),
            ),
            task="single_point",
            end="finished",
            problems=stated_problems(ours),
            parameters=parameters_of(parameters),
            total_magnetization_mu_b=number(row.get("magmom")),
            files={self.name: self.source.sha256},
        )


def _of_ours(row: Row) -> Row:
    """Return what an export of ours says of the result."""
    data = row.get("data")
    result = data.get("result") if isinstance(data, Mapping) else None
    return result if isinstance(result, Mapping) else {}


def _rows_of(source: Source) -> Rows | None:
    """Return what reads a file, which is known by its content."""
    try:
        head = source.head(_HEAD_BYTES)
    except ParseError:
        return None
    if head.startswith(MAGIC) and _TABLE in head:
        return ase_db.rows
    if ase_json.AseJson().recognises(head, ""):
        return ase_json.rows
    return ase_traj.rows if ase_traj.is_trajectory(head) else None


def _may_have_results(rows: Iterator[tuple[Any, Row | ParseError]]) -> bool:
    try:
        return any(
            isinstance(row, ParseError) or has_results(row) for _, row in islice(rows, _LOOKED_AT)
        )
    except ParseError:
        return True  # reading it will tell why


def _of_database(
    file: _File, rows: Iterator[tuple[Any, Row | ParseError]]
) -> Iterator[tuple[Step, Run] | NanoError]:
    for row_id, row in rows:
        try:
            if isinstance(row, ParseError):
                raise row
            if has_results(row):
                place = int(row_id) if str(row_id).isdecimal() else None
                found = step(row, parsed_row(row).structure, place)
                yield found, file.run(f"{file.path}#{row_id}", found, row)
        except NanoError as error:
            yield ParseError(f"Row {row_id}: {error}")


class _Trajectory:
    """A trajectory while it is read; each stretch of frames of the same atoms is a run."""

    def __init__(self, file: _File) -> None:
        self._file = file
        self._notes: list[str] = []
        self._frames_of_run: list[tuple[float | None, float | None]] = []

    def read(self) -> Iterator[Step | Run]:
        last: tuple[Step, Row] | None = None
        for frame, row in self._frames():
            if last and last[0].structure.symbols != frame.structure.symbols:
                yield self._run(*last)
            self._frames_of_run.append((frame.energy_ev, largest_force(frame)))
            last = frame, row
            yield frame
        if last is None:
            raise ParseError(self._notes[0] if self._notes else "No frame has results.")
        yield self._run(*last)

    def _frames(self) -> Iterator[tuple[Step, Row]]:
        try:
            for place, row in ase_traj.rows(self._file.source):
                try:
                    if isinstance(row, ParseError):
                        raise row
                    if has_results(row):
                        yield step(row, parsed_row(row).structure, place), row
                except NanoError as error:
                    self._notes.append(f"Frame {place}: {error}")
        except ParseError as error:
            self._notes.append(str(error))

    def _run(self, last: Step, row: Row) -> Run:
        """Return the run of the frames up to here."""
        frames, self._frames_of_run = self._frames_of_run, []
        first = (last.place or len(frames)) - len(frames) + 1
        name = self._file.path if first == 1 else f"{self._file.path}#{first}"
        task, is_relaxed = _course(frames, row)
        notes, self._notes = self._notes, []
        return replace(
            self._file.run(name, last, row),
            task=task,
            end="unfinished" if is_relaxed is False or notes else "finished",
            problems=("truncated",) if notes else (),
            message=told(notes),
            is_ionically_converged=is_relaxed,
        )


def _course(frames: list[tuple[float | None, float | None]], row: Row) -> tuple[Task, bool | None]:
    """Return what frames of (energy, largest force) are, and whether a relaxation has ended.

    The latter is known where ASE noted the force to be reached, and nothing was held in place.
    """
    description = row.get("description")
    noted = description if isinstance(description, Mapping) else {}
    task = _TASKS.get(str(noted.get("type")))
    if task is None:
        task = "single_point" if len(frames) == 1 else "relax" if is_falling(frames) else "other"
    force, wanted = frames[-1][1], number(noted.get("fmax"))
    if task != "relax" or force is None or wanted is None or row.get("is_constrained"):
        return task, None
    return task, force < wanted
