"""Whether geometries are one and the same, but for the digits with which they were printed.

A fingerprint rounds, so that it may tell apart what lies at two sides of a rounding edge. Here
two geometries are laid on each other: the order of sites, whole lattice vectors and a rotation
of all do not matter, another origin or cell does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from ase.data import atomic_numbers

from nanoos.structures.geometry import lengths_and_angles, tree
from nanoos.structures.structure import Array, Structure

PRINTED_A = 2e-5
"""How far apart sites may be; outputs of VASP, twice rounded to five decimals, are 1.7e-5 Å."""
_REACH = 20 * PRINTED_A  # of marks: more than what the same geometry can differ by


def is_same_geometry(one: Structure, other: Structure) -> bool:
    """Return whether no site and no lattice vector differs by more than `PRINTED_A`."""
    if one is other:
        return True
    if one.n_sites != other.n_sites or one.periodic != other.periodic:
        return False
    moved = _moved(one, other)
    return moved is not None and bool(np.linalg.norm(moved, axis=1).max() <= PRINTED_A)


def same_geometries(
    ones: Sequence[Structure], others: Sequence[Structure]
) -> Iterator[tuple[int, int]]:
    """Yield the places of every two, one of the first and one of the others, that are the same.

    Takes about as long as there are structures: only those alike in a few numbers are compared.
    """
    if not ones or not others:
        return
    known = tree(np.array([_marks(other) for other in others]))
    marks = np.array([_marks(one) for one in ones])
    for i, near in enumerate(known.query_ball_point(marks, _REACH, p=np.inf)):
        for j in near:
            if is_same_geometry(ones[i], others[j]):
                yield i, j


def _moved(one: Structure, other: Structure) -> Array | None:
    """Return how far each site is from its like in the other, (n, 3) in Å; None without likes."""
    if one.lattice_a is None or other.lattice_a is None:
        if one.lattice_a is not other.lattice_a:
            return None
        sites, places, lattice_a, box = _centred(one), _centred(other), np.eye(3), np.zeros(3)
    else:
        lattice_a, box = one.lattice_a, np.array(one.periodic, dtype=np.float64)
        if not _is_same_cell(lattice_a, other.lattice_a):
            return None
        sites, places = _within(one.fractional, box), _within(other.fractional, box)
    likes = tree(places, boxsize=box).query(sites)[1]
    kinds, others = (_kinds(structure) for structure in (one, other))
    if len(set(likes.tolist())) < len(sites) or kinds != [others[like] for like in likes]:
        return None
    moved: Array = sites - places[likes]
    return (moved - box * np.round(moved)) @ lattice_a


def _is_same_cell(lattice_a: Array, other_a: Array) -> bool:
    lengths, angles = lengths_and_angles(lattice_a)
    other_lengths, other_angles = lengths_and_angles(other_a)
    turned_a = np.radians(np.abs(angles - other_angles)) * lengths.min()
    return bool(max(np.abs(lengths - other_lengths).max(), turned_a.max()) <= PRINTED_A)


def _within(fractional: Array, box: Array) -> Array:
    """Return the coordinates within [0, 1) where the box is 1; a tree takes no other."""
    within: Array = np.where(box, fractional % 1.0, fractional)
    return np.where((box > 0) & (within >= 1.0), 0.0, within)


def _centred(structure: Structure) -> Array:
    centred: Array = structure.positions_a - structure.positions_a.mean(axis=0)
    return centred


def _kinds(structure: Structure) -> list[dict[str, float]]:
    return [species.occupancy for species in structure.site_species]


def _marks(structure: Structure) -> Array:
    """Return numbers that are nearly the same of the same geometry, in Å: sizes, and phases.

    The mean of exp(2πi x) over all sites is the same whatever their order and cell; weighted by
    what sits there, other ways to fill the same sites have others.
    """
    weights = np.stack([np.ones(structure.n_sites), _weights(structure)])
    if structure.lattice_a is None:
        spread = weights @ np.abs(_centred(structure)) / structure.n_sites
        return np.array([structure.n_sites, *spread.ravel(), *[0.0] * 11])
    lengths, angles = lengths_and_angles(structure.lattice_a)
    phases = weights @ np.exp(2j * np.pi * structure.fractional) / structure.n_sites
    phases *= lengths / (2 * np.pi)
    turns = np.radians(angles[:2]) * lengths.min()
    return np.array(
        [structure.n_sites, *lengths, *turns, *phases.real.ravel(), *phases.imag.ravel()]
    )


def _weights(structure: Structure) -> Array:
    """Return the atomic number at each site, of 0 to 1: a mean where elements share it."""
    kinds = _kinds(structure)
    return np.array(
        [sum(atomic_numbers.get(one, 0) * n for one, n in of.items()) for of in kinds]
    ) / len(atomic_numbers)
