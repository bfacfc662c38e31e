"""Centred cells made primitive, where the centring is exact.

Half of the crystals that files hold are given in a cell with two, three or four lattice points. In
the primitive cell a search for symmetry is the faster.

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
Centring = tuple[tuple[Sixths, ...], tuple[Sixths, Sixths, Sixths]]
"""The lattice points but the origin, in sixths of a, b, c, and a right-handed basis."""

_CENTRINGS: tuple[Centring, ...] = (
    (((0, 3, 3), (3, 0, 3), (3, 3, 0)), ((0, 3, 3), (3, 0, 3), (3, 3, 0))),  # F
    (((3, 3, 3),), ((-3, 3, 3), (3, -3, 3), (3, 3, -3))),  # I
    (((3, 3, 0),), ((3, -3, 0), (3, 3, 0), (0, 0, 6))),  # C
    (((0, 3, 3),), ((6, 0, 0), (0, 3, -3), (0, 3, 3))),  # A
    (((3, 0, 3),), ((3, 0, -3), (0, 6, 0), (3, 0, 3))),  # B
    (((4, 2, 2), (2, 4, 4)), ((4, 2, 2), (-2, 2, 2), (-2, -4, 2))),  # R, obverse
    (((2, 4, 2), (4, 2, 4)), ((2, 4, 2), (-4, -2, 2), (2, -2, 2))),  # R, reverse
)


def primitive_part(
    lattice_a: Array, fractional: Array, kind_at_sites: list[int]
) -> tuple[Array, Array, list[int]]:
    """Return a primitive lattice (3, 3), and the coordinates and kinds of one site of each orbit.

    Orbits are those of the centring translations; what no standard centring maps onto itself,
    to 1e-8 of the lattice vectors, is returned as it is.
    """
    kinds = np.array(kind_at_sites)
    for points, basis in _possible(fractional, kind_at_sites):
        images = _images(fractional, kinds, np.array(points) / 6)
        if images is not None:
            first = np.flatnonzero((images >= np.arange(len(kinds))).all(axis=0))
            change = np.array(basis) / 6
            places = fractional[first] @ inverse(change)
            return change @ lattice_a, places, kinds[first].tolist()
    return lattice_a, fractional, kind_at_sites


def _possible(fractional: Array, kind_at_sites: list[int]) -> list[Centring]:
    """Return the centrings that the sites of the rarest kind allow."""
    counts = Counter(kind_at_sites)
    shared = gcd(*counts.values())
    if (shared % 2 and shared % 3) or len(counts) > _MOST_KINDS:
        return []
    kind = min(counts, key=counts.__getitem__)
    rarest = fractional[[one == kind for one in kind_at_sites]]
    apart = np.rint(6 * (rarest[1:] - rarest[0])).astype(np.int64) % 6
    found = set(map(tuple, apart.tolist()))
    return [centring for centring in _CENTRINGS if found.issuperset(centring[0])]


def _images(fractional: Array, kinds: NDArray[np.intp], vectors: Array) -> NDArray[np.intp] | None:
    """Return the sites that all are moved onto by m vectors, shape (m, n); None if one is not."""
    moved = fractional + vectors[:, None]
    before, after = _keys(fractional, kinds), _keys(moved, kinds)
    to, of = np.argsort(before), np.argsort(after, axis=1)
    rows = np.arange(len(vectors))[:, None]
    if (before[to] != after[rows, of]).any():
        return None
    apart = fractional[to] - moved[rows, of]
    if np.abs(apart - np.rint(apart)).max() > _EXACT:
        return None
    images = np.empty_like(of)
    images[rows, of] = to
    return images


def _keys(fractional: Array, kinds: NDArray[np.intp]) -> NDArray[np.int64]:
    """Return a number for what lies where; its edges lie off those places that sites like."""
    steps = np.floor(fractional * _STEPS + 0.53).astype(np.int64) % _STEPS
    keys: NDArray[np.int64] = steps @ _WEIGHTS + kinds * _STEPS**3
    return keys


_WEIGHTS = np.array([_STEPS**2, _STEPS, 1])
