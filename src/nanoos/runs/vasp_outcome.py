"""How a run of VASP went: what was asked for, how it ended, what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nanoos.runs.run import End, Problem, Task
from nanoos.runs.vasp_output import IonicStep, Output

_TASKS: Mapping[int, Task] = {
    0: "molecular_dynamics",
    1: "relax",
    2: "relax",
    3: "relax",
}
"""IBRION → what it does; others are phonons, transition states, or read no forces."""
_NO_GROUND_STATE = ("GW", "EVGW", "QPGW", "SCGW", "CHI", "BSE", "TDHF", "RPA", "ACFDT", "TIMEEV")
"""How ALGO begins where energies are no longer those of the ground state."""


@dataclass
class Course:
    """What is kept of the steps of a run while they pass."""

    n_steps: int = 0
    last: IonicStep | None = None
    previous_energy_ev: float | None = None

    def add(self, step: IonicStep) -> None:
        """Take the next step."""
        self.previous_energy_ev = self.last.free_energy_ev if self.last else None
        self.last = step
        self.n_steps += 1


def task(parameters: Mapping[str, Any]) -> Task:
    """Return what was asked for."""
    algorithm = str(parameters.get("ALGO") or "").upper().removesuffix("R")
    if algorithm.startswith(_NO_GROUND_STATE) or (parameters.get("IMAGES") or 0) > 0:
        return "other"
    if (parameters.get("NSW") or 0) <= 0:
        return "single_point"
    return _TASKS.get(parameters.get("IBRION") or 0, "other")


def is_relaxed(output: Output, xml: Output | None, outcar: Output | None, course: Course) -> bool:
    """Tell whether a relaxation reached what was asked for.

    OUTCAR says so. Of the XML alone it is concluded: VASP went on for as many steps as it might,
    or ended sooner because it was done.
    """
    if output.has_reached_accuracy:
        return True
    if (outcar is not None and outcar.is_complete) or xml is None or not xml.is_complete:
        return False
    if course.last is None or course.last.is_electronically_converged is False:
        return False
    limit = output.parameters.get("NSW") or 0
    return course.n_steps < limit or _meets_criterion(output.parameters, course)


def _meets_criterion(parameters: Mapping[str, Any], course: Course) -> bool:
    """Tell whether the last step meets EDIFFG: energy where positive, forces where negative."""
    criterion, last = parameters.get("EDIFFG"), course.last
    if criterion is None or last is None:
        return False
    if criterion < 0:
        forces = last.forces_ev_per_a
        return forces is not None and bool(np.linalg.norm(forces, axis=1).max() < -criterion)
    energies = (course.previous_energy_ev, last.free_energy_ev)
    return None not in energies and abs(energies[0] - energies[1]) < criterion  # type: ignore[operator]


def end(output: Output) -> End:
    """Return how the run ended."""
    if output.was_stopped and not output.has_reached_accuracy:
        return "time_limit"
    if output.is_complete:
        return "finished"
    if output.ran_out_of_time:  # the program's own cries then are of being killed
        return "time_limit"
    return "crashed" if output.fatal else "unfinished"


def problems(
    output: Output, course: Course, *, is_relaxed: bool | None, is_odd: bool
) -> Iterator[Problem]:
    """Yield what is wrong; ``is_odd`` is for what was left out, ``is_relaxed`` for relaxations."""
    last = course.last
    if last is not None and last.is_electronically_converged is False:
        limit = output.parameters.get("NELM")
        if limit and (last.electronic_steps or 0) >= limit:
            yield "electronic_steps_exhausted"
    if is_relaxed is False and course.n_steps >= (output.parameters.get("NSW") or 0):
        yield "ionic_steps_exhausted"
    if output.damage:
        yield "truncated"
    if output.fatal or output.complaints or is_odd:
        yield "error"
