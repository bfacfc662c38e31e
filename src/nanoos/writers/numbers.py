"""How numbers are written: every digit it takes to read back the same float."""

from __future__ import annotations

from collections.abc import Iterable

from nanoos.errors import StructureError
from nanoos.structures import Structure
from nanoos.structures.structure import Array


def digits(values: Iterable[float]) -> str:
    """Return the numbers, each in the shortest form (≤ 17 digits) that is read as the same."""
    return " ".join(repr(float(value) + 0.0) for value in values)  # + 0.0: no negative zero


def lattice_of_crystal(structure: Structure, format: str) -> Array:
    """Return the lattice in Å. Raises StructureError where not all directions repeat."""
    if structure.lattice_a is None or structure.n_periodic < 3:
        raise StructureError(
            f"A {format.upper()} file holds crystals only; write molecules and slabs as extxyz."
        )
    return structure.lattice_a
