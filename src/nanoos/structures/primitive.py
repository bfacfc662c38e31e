"""Primitive cells with the atoms where they are: reduced, not made symmetric."""

from __future__ import annotations

from dataclasses import dataclass

import moyopy
import numpy as np
from numpy.typing import NDArray

from nanoos.structures.protostructure import Kind, kinds_of_site
from nanoos.structures.search import Search
from nanoos.structures.structure import Array, Structure

TRANSLATION_A = 0.01  # how well a translation within the cell must map every site onto another
EXACT_A = 1e-5  # how well a symmetry must, to be relied on in a distance
_VACUUM_A = 20.0
_UNTURNED = np.eye(3, dtype=np.intp)[None]

Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class PrimitiveCell:
    """A structure in a primitive, reduced cell, the directions that repeat first.

    Parameters
    ----------
    lattice_a
        (3, 3) right-handed vectors as rows, in Å. Directions that do not repeat are unit
        vectors at right angles to all others, so that coordinates along them are in Å.
    fractional
        (n, 3) coordinates in it, each the mean of the sites that translations made equal.
    kinds, kind_at_sites
        What sites hold, and for each of the n sites the index of its kind, ascending.
    n_periodic
        How many directions repeat.
    turns
        (m, 3, 3) integer matrices: what the symmetry of the structure, where it holds to
        1e-5 Å, makes of the lattice vectors; the one that changes nothing comes first.
    """

    lattice_a: Array
    fractional: Array
    kinds: tuple[Kind, ...]
    kind_at_sites: Indices
    n_periodic: int
    turns: Indices

    @property
    def n_sites(self) -> int:
        """Number of sites in the cell."""
        return len(self.kind_at_sites)


def primitive_cell(structure: Structure) -> PrimitiveCell:
    """Return the primitive cell, found with translations that hold to 0.01 Å."""
    kinds, kind_at_sites = kinds_of_site(structure)
    positions, numbers = structure.positions_a, np.array(kind_at_sites)
    lattice, turns = np.eye(3), _UNTURNED
    if structure.n_periodic:
        cell = _with_vacuum(structure)
        cell, positions, numbers = _without_copies(cell, positions, numbers)
        lattice = cell
        if structure.n_periodic > 1:
            lattice = _reduced(cell)
            turns = _turns(lattice, positions @ np.linalg.inv(lattice), numbers)
        aperiodic = slice(structure.n_periodic, None)
        lattice[aperiodic] /= np.linalg.norm(lattice[aperiodic], axis=1, keepdims=True)
    order = np.argsort(numbers, kind="stable")
    return PrimitiveCell(
        lattice_a=lattice,
        fractional=positions[order] @ np.linalg.inv(lattice),
        kinds=tuple(kinds),
        kind_at_sites=numbers[order],
        n_periodic=structure.n_periodic,
        turns=turns,
    )


def _with_vacuum(structure: Structure) -> Array:
    """Return the vectors that repeat, then long ones at right angles to them, right-handed."""
    assert structure.lattice_a is not None  # noqa: S101 - it repeats
    repeating = structure.lattice_a[list(structure.periodic)]
    if len(repeating) == 3:
        return repeating
    extent = np.ptp(structure.positions_a, axis=0).sum() + 2 * np.abs(repeating).sum()
    # The last rows of the full Q are an orthonormal basis of what the others leave.
    across = np.linalg.qr(repeating.T, mode="complete").Q.T[len(repeating) :]
    cell = np.concatenate([repeating, across * (extent + _VACUUM_A)])
    if np.linalg.det(cell) < 0:
        cell[2] *= -1
    return cell


def _without_copies(
    cell: Array, positions: Array, numbers: Indices
) -> tuple[Array, Array, Indices]:
    """Return a primitive cell, and one site for all that its translations map onto each other."""
    fractional = positions @ np.linalg.inv(cell)
    steps = _translations(cell, fractional, numbers)
    if len(steps) == 1:
        return cell, positions, numbers
    primitive = _basis(steps) @ cell / len(steps)
    places = positions @ np.linalg.inv(primitive)
    left = np.ones(len(numbers), dtype=bool)
    sites, kept = [], []
    for i in range(len(numbers)):
        if not left[i]:
            continue
        away = places - places[i]
        away -= np.round(away)
        copies = left & (numbers == numbers[i])
        copies &= np.linalg.norm(away @ primitive, axis=1) < 2 * TRANSLATION_A
        if np.count_nonzero(copies) != len(steps):
            return cell, positions, numbers
        left &= ~copies
        sites.append(places[i] + away[copies].mean(axis=0))
        kept.append(numbers[i])
    return primitive, np.array(sites) @ primitive, np.array(kept)


def _translations(cell: Array, fractional: Array, numbers: Indices) -> Indices:
    """Return (m, 3) the cell's translations, in m-ths of its vectors."""
    found = _dataset(cell, fractional, numbers, TRANSLATION_A)
    if found is None or len(found.prim_std_cell.numbers) == len(numbers):
        return np.zeros((1, 3), dtype=np.intp)
    turned = np.array(found.operations.rotations) != np.eye(3, dtype=int)
    steps = np.array(found.operations.translations)[~turned.any(axis=(1, 2))]
    whole: Indices = np.round(steps * len(steps)).astype(np.intp)
    return whole


def _turns(cell: Array, fractional: Array, numbers: Indices) -> Indices:
    found = _dataset(cell, fractional, numbers, EXACT_A)
    if found is None:
        return _UNTURNED
    turns: Indices = np.array(found.operations.rotations, dtype=np.intp).swapaxes(1, 2)
    return np.concatenate([_UNTURNED, turns])


def _dataset(
    cell: Array, fractional: Array, numbers: Indices, symprec_a: float
) -> moyopy.MoyoDataset | None:
    """Return what moyo finds; None where it finds nothing, which is no error here."""
    try:
        return Search(cell, fractional, numbers.tolist()).within(symprec_a)
    except ValueError:
        return None


def _basis(steps: Indices) -> Array:
    """Return an integer basis of the lattice of ``steps`` and ``len(steps)`` times the unit cell.

    Triangular, by Euclid's algorithm on rows (the Hermite normal form).
    """
    rows = np.concatenate([len(steps) * np.eye(3, dtype=np.intp), steps])
    basis = np.zeros((3, 3))
    for axis in range(3):
        while np.count_nonzero(rows[:, axis]) > 1:
            values = np.abs(rows[:, axis])
            pivot = np.where(values > 0, values, values.max() + 1).argmin()
            factors = rows[:, axis] // rows[pivot, axis]
            factors[pivot] = 0
            rows -= factors[:, None] * rows[pivot]
        (row,) = np.flatnonzero(rows[:, axis])
        basis[axis] = rows[row] * np.sign(rows[row, axis])
        rows = np.delete(rows, row, axis=0)
    return basis


def _reduced(cell: Array) -> Array:
    """Return the Niggli-reduced cell; a vector longer than all others stays the last."""
    try:
        return np.array(moyopy.niggli_reduce(cell.tolist())[0])
    except ValueError:  # too skew for it: longer to search, no less right
        return cell.copy()
