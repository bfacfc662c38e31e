"""Centred cells made primitive, where the centring is exact.

Nearly half of the crystals that files hold are given in a cell with two, three or four lattice
points. What searches for symmetry is the faster in the primitive cell, and finds the same.

Centring types and their vectors: International Tables for Crystallography, vol. A (2016),
table 2.1.1.2.
"""

from __future__ import annotations

from collections import Counter
from math import gcd

import numpy as np
from numpy.typing import NDArray

from nanoos.structures.geometry import Array, inverse

_EXACT = 1e-8  # of a lattice vector
_STEPS = 100_000  # in a lattice vector, for finding the site that a translation leads to
_MOST_KINDS = 9_000  # which, times the cube of those, 64 bits hold

Sixths = tuple[int, int, int]

# The vectors that generate a centring, in sixths of a, b, c, and a primitive right-handed basis.
_CENTRINGS: tuple[tuple[tuple[Sixths, ...], tuple[Sixths, Sixths, Sixths]], ...] = (
    (((0, 3, 3), (3, 0, 3)), ((0, 3, 3), (3, 0, 3), (3, 3, 0))),  # F
    (((3, 3, 3),), ((-3, 3, 3), (3, -3, 3), (3, 3, -3))),  # I
    (((3, 3, 0),), ((3, -3, 0), (3, 3, 0), (0, 0, 6))),  # C
    (((0, 3, 3),), ((6, 0, 0), (0, 3, -3), (0, 3, 3))),  # A
    (((3, 0, 3),), ((3, 0, -3), (0, 6, 0), (3, 0, 3))),  # B
    (((4, 2, 2),), ((4, 2, 2), (-2, 2, 2), (-2, -4, 2))),  # R, obverse
    (((2, 4, 2),), ((2, 4, 2), (-4, -2, 2), (2, -2, 2))),  # R, reverse
)


def primitive_part(
    lattice_a: Array, fractional: Array, kind_at_sites: list[int]
) -> tuple[Array, Array, list[int]]:
    """Return a primitive lattice (3, 3), and the coordinates and kinds of one site of each orbit.

    Orbits are those of the centring translations; what no standard centring maps onto itself,
    to 1e-8 of the lattice vectors, is returned as it is.
    """
    unchanged = lattice_a, fractional, kind_at_sites
    counts = Counter(kind_at_sites)
    shared = gcd(*counts.values())
    if (shared % 2 and shared % 3) or len(counts) > _MOST_KINDS:
        return unchanged
    kinds = np.array(kind_at_sites)
    rarest = fractional[kinds == min(counts, key=counts.__getitem__)]
    apart = np.rint(6 * (rarest[1:] - rarest[0])).astype(int) % 6
    possible = set(map(tuple, apart.tolist()))
    for vectors, basis in _CENTRINGS:
        if not possible.issuperset(vectors):
            continue
        first = _first_of_orbits(fractional, kinds, vectors)
        if first is not None:
            change = np.array(basis) / 6
            places = fractional[first] @ inverse(change)
            return change @ lattice_a, places, kinds[first].tolist()
    return unchanged


def _first_of_orbits(
    fractional: Array, kinds: NDArray[np.intp], vectors: tuple[Sixths, ...]
) -> NDArray[np.intp] | None:
    """Return the first site of each orbit; None where a translation maps not all onto sites."""
    sites = np.arange(len(kinds))
    first = sites
    for vector in vectors:
        images = _images(fractional, kinds, np.array(vector) / 6)
        if images is None:
            return None
        first = np.minimum(np.minimum(first, first[images]), first[images[images]])
    return np.flatnonzero(first == sites)


def _images(fractional: Array, kinds: NDArray[np.intp], vector: Array) -> NDArray[np.intp] | None:
    """Return the site that each is moved onto by a translation; None where one is not."""
    moved = fractional + vector
    before, after = _keys(fractional, kinds), _keys(moved, kinds)
    to, of = np.argsort(before), np.argsort(after)
    if (before[to] != after[of]).any():
        return None
    apart = fractional[to] - moved[of]
    if np.abs(apart - np.rint(apart)).max() > _EXACT:
        return None
    images = np.empty_like(to)
    images[of] = to
    return images


def _keys(fractional: Array, kinds: NDArray[np.intp]) -> NDArray[np.int64]:
    """Return a number for what lies where; its edges lie off those places that sites like."""
    steps = np.floor(fractional * _STEPS + 0.53).astype(np.int64) % _STEPS
    return ((kinds * _STEPS + steps[:, 0]) * _STEPS + steps[:, 1]) * _STEPS + steps[:, 2]
