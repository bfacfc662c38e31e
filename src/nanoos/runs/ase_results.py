"""Results as ASE names them: a row, frame or result of one of its readers as a `Step`.

The keys are those of `nanoos.parsers.ase_atoms`; energies are in eV, forces in eV/Å, stress in
eV/Å³, positive under tension, as six numbers (xx, yy, zz, yz, xz, xy) or nine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from ase.units import GPa

from nanoos.errors import NanoError, ParseError
from nanoos.runs.run import Run, Step
from nanoos.structures import Structure
from nanoos.structures.structure import Array

MAX_NOTES = 3
"""Rows or frames left out that are told one by one."""

_VOIGT = [[0, 5, 4], [5, 1, 3], [4, 3, 2]]


def has_results(results: Mapping[str, Any]) -> bool:
    """Tell whether there is an energy or forces."""
    return results.get("energy") is not None or results.get("forces") is not None


def step(results: Mapping[str, Any], structure: Structure, place: int | None = None) -> Step:
    """Return the step of a geometry and its results; a result that is not finite is left out."""
    n_sites = structure.n_sites
    stress = _array(results.get("stress"), (6,), (3, 3), (9,))
    if stress is not None:
        stress = stress[_VOIGT] if stress.shape == (6,) else stress.reshape(3, 3)
    return Step(
        structure=structure,
        energy_ev=number(results.get("energy")),
        free_energy_ev=number(results.get("free_energy")),
        forces_ev_per_a=_array(results.get("forces"), (n_sites, 3)),
        stress_gpa=None if stress is None else stress / GPa,
        magnetic_moments_mu_b=_array(results.get("magmoms"), (n_sites,), (n_sites, 3)),
        place=place,
    )


def number(value: Any) -> float | None:
    """Return a finite number as a float; None for what is none."""
    array = _array(value, ())
    return None if array is None else float(array)


def _array(value: Any, *shapes: tuple[int, ...]) -> Array | None:
    """Return numbers of one of the shapes; None where they are of another, or not finite."""
    if value is None:
        return None
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths
        return None
    if array.dtype.kind not in "iuf" or array.shape not in shapes or not np.isfinite(array).all():
        return None
    return array.astype(np.float64)


def each_alone(found: Iterator[tuple[Step, Run] | NanoError]) -> Iterator[Step | Run]:
    """Yield each step and the run of its own.

    What could not be read does not touch the rest. Raises ParseError at the end where something
    was left out, and when there is no step.
    """
    notes: list[str] = []
    n_runs = 0
    for one in until_damage(found):
        if isinstance(one, NanoError):
            notes.append(str(one))
        else:
            yield from one
            n_runs += 1
    if not n_runs:
        raise ParseError(notes[0] if notes else "No energy or force is stated.")
    if notes:
        raise ParseError(told(notes))


def until_damage(
    found: Iterator[tuple[Step, Run] | NanoError],
) -> Iterator[tuple[Step, Run] | NanoError]:
    """Yield what is found; what ends it early is its last."""
    try:
        yield from found
    except ParseError as error:
        yield error


def told(notes: list[str]) -> str | None:
    """Return a message of what was left out."""
    if not notes:
        return None
    more = len(notes) - MAX_NOTES
    return "Left out: " + " ".join(notes[:MAX_NOTES]) + (f" And {more} more." if more > 0 else "")


def is_falling(course: list[tuple[float | None, float | None]]) -> bool:
    """Tell whether steps of (energy, largest force) end where both are lowest: a relaxation."""
    known = [[math.inf if value is None else value for value in one] for one in course]
    return len(known) > 1 and all(column[-1] == min(column) for column in zip(*known, strict=True))


def largest_force(step: Step) -> float | None:
    """Return the length of the longest force, in eV/Å."""
    if step.forces_ev_per_a is None or not len(step.forces_ev_per_a):
        return None
    return float(np.linalg.norm(step.forces_ev_per_a, axis=1).max())
