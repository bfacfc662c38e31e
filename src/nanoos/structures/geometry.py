"""Distances under periodic boundary conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import acos, degrees, hypot, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

Array = NDArray[np.float64]

_FEW = 100
"""Of so many sites all pairs are looked at."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two sites and the distance between them in Å; ``i == j`` is a site and its own image."""

    i: int
    j: int
    distance_a: float


def tree(points: Array, **how: Any) -> cKDTree:
    """Return the k-d tree of points; where all pairs of few are looked at, none is needed."""
    from scipy.spatial import cKDTree  # which takes half as long as all else that reading needs

    return cKDTree(points, **how)


def cell_heights(lattice_a: Array) -> Array:
    """Return the distances in Å between opposite faces of the cell, shape (3,).

    The height over face i is V / ‖a_j × a_k‖, zero when the vectors are linearly dependent.
    """
    a, b, c = lattice_a.tolist()
    faces = (_cross(b, c), _cross(c, a), _cross(a, b))
    volume = abs(_dot(faces[0], a))
    areas = [hypot(*face) for face in faces]
    return np.array([volume / area if area > 0 else 0.0 for area in areas])


def signed_volume_a3(lattice_a: Array) -> float:
    """Return a · (b × c) in Å3, negative for a left-handed cell."""
    a, b, c = lattice_a.tolist()
    return _dot(_cross(b, c), a)


def longest_vector_a(lattice_a: Array) -> float:
    """Return the length of the longest lattice vector in Å."""
    return max(hypot(*vector) for vector in lattice_a.tolist())


def inverse(matrix: Array) -> Array:
    """Return the inverse of a (3, 3) matrix, as its adjugate over its determinant.

    Raises ZeroDivisionError where there is none. numpy's takes three times as long.
    """
    a, b, c = matrix.tolist()
    columns = _cross(b, c), _cross(c, a), _cross(a, b)
    volume = _dot(columns[0], a)
    return np.array([[column[k] / volume for column in columns] for k in range(3)])


def _dot(u: Sequence[float], v: Sequence[float]) -> float:
    return u[0] * v[0] + u[1] * v[1] + u[2] * v[2]


def _cross(u: Sequence[float], v: Sequence[float]) -> tuple[float, float, float]:
    """Return the cross product; numpy's takes ten times as long for one pair of vectors."""
    return u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]


def lengths_and_angles(lattice_a: Array) -> tuple[Array, Array]:
    """Return the lengths a, b, c in Å and the angles alpha, beta, gamma in degrees."""
    a, b, c = vectors = lattice_a.tolist()  # numpy takes three times as long for so few numbers
    lengths = [hypot(*vector) for vector in vectors]
    angles = [_angle_deg(u, v) for u, v in ((b, c), (a, c), (a, b))]
    return np.array(lengths), np.array(angles)


def _angle_deg(u: Sequence[float], v: Sequence[float]) -> float:
    return degrees(acos(max(-1.0, min(1.0, _dot(u, v) / (hypot(*u) * hypot(*v))))))


def wrapped(fractional: Array, periodic: tuple[bool, bool, bool]) -> Array:
    """Return the fractional coordinates moved into [0, 1) along the periodic directions."""
    return np.where(periodic, fractional - np.floor(fractional), fractional)


def near_distances(
    lattice_a: Array, fractional: Array, others: Array, periodic: tuple[bool, bool, bool]
) -> Array:
    """Return the distances in Å, shape (m, n), from m sites to the nearest images of n others.

    Those below half the smallest height of the cell are right; others may be too long.
    """
    apart = (fractional[:, None] - others).reshape(-1, 3)
    distances: Array = np.sqrt(_squares(lattice_a, apart, periodic))
    return distances.reshape(len(fractional), len(others))


def _squares(lattice_a: Array, apart: Array, periodic: tuple[bool, bool, bool]) -> Array:
    """Return, for fractional vectors (n, 3), the squares of the shortest lengths in Å2."""
    apart -= np.rint(apart) if all(periodic) else np.where(periodic, np.rint(apart), 0.0)
    apart = apart @ lattice_a
    squares: Array = np.einsum("ik,ik->i", apart, apart)
    return squares


def closest_pair(
    lattice_a: Array | None,
    positions_a: Array,
    periodic: tuple[bool, bool, bool],
    cutoff_a: float,
    fractional: Array | None = None,
) -> Pair | None:
    """Return the closest two sites nearer than ``cutoff_a`` Å, images included, else None.

    ``fractional`` are the coordinates, where they are known.
    """
    n_sites = len(positions_a)
    if n_sites <= _FEW and lattice_a is not None and cell_heights(lattice_a).min() > 2 * cutoff_a:
        if fractional is None:
            fractional = positions_a @ np.linalg.inv(lattice_a)
        return _closest_of_few(lattice_a, fractional, periodic, cutoff_a)
    points, owners = _with_images(lattice_a, positions_a, periodic, cutoff_a)
    if len(points) < 2:
        return None
    distances, neighbours = tree(points).query(points[:n_sites], k=2, distance_upper_bound=cutoff_a)
    # With two points at one place either may be named first: the neighbour is the other one.
    other = np.where(neighbours[:, 0] == np.arange(n_sites), 1, 0)
    nearest = distances[np.arange(n_sites), other]
    i = int(np.argmin(nearest))
    if not np.isfinite(nearest[i]):
        return None
    j = int(owners[neighbours[i, other[i]]])
    return Pair(min(i, j), max(i, j), float(nearest[i]))


def _closest_of_few(
    lattice_a: Array, fractional: Array, periodic: tuple[bool, bool, bool], cutoff_a: float
) -> Pair | None:
    """Return the closest pair where none is a site's own image: no tree is worth its making."""
    if len(fractional) < 2:
        return None
    ones, others = _pairs(len(fractional))
    squares = _squares(lattice_a, fractional[ones] - fractional[others], periodic)
    closest = int(np.argmin(squares))
    distance_a = sqrt(squares[closest])
    if not distance_a < cutoff_a:
        return None
    return Pair(int(ones[closest]), int(others[closest]), distance_a)


@lru_cache(maxsize=_FEW)
def _pairs(n: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the two sites of each pair of n."""
    return np.triu_indices(n, 1)


def crowded_pair(
    lattice_a: Array | None,
    positions_a: Array,
    periodic: tuple[bool, bool, bool],
    cutoff_a: float,
    shares: Array,
) -> Pair | None:
    """Return the closest pair whose ``shares``, one for each site, add up to more than 1.

    So do a site and its own image, whatever its share. Of one site the nearest 31 are looked at;
    nothing that is an alternative to so many others lies within half an ångström of them.
    """
    n_sites = len(positions_a)
    points, owners = _with_images(lattice_a, positions_a, periodic, cutoff_a)
    if len(points) < 2:
        return None
    distances, neighbours = tree(points).query(
        points[:n_sites], k=min(32, len(points)), distance_upper_bound=cutoff_a
    )
    i, rank = np.nonzero(np.isfinite(distances) & (neighbours != np.arange(n_sites)[:, None]))
    j, distance = owners[neighbours[i, rank]], distances[i, rank]
    crowded = np.flatnonzero((i == j) | (shares[i] + shares[j] > 1))
    if len(crowded) == 0:
        return None
    k = crowded[np.argmin(distance[crowded])]
    return Pair(int(min(i[k], j[k])), int(max(i[k], j[k])), float(distance[k]))


def _with_images(
    lattice_a: Array | None, positions_a: Array, periodic: tuple[bool, bool, bool], cutoff_a: float
) -> tuple[Array, NDArray[np.int64]]:
    """Return the sites, wrapped, then their images within ``cutoff_a`` of the cell."""
    if lattice_a is None or not any(periodic):
        return positions_a, np.arange(len(positions_a))
    points = wrapped(positions_a @ np.linalg.inv(lattice_a), periodic)
    owners = np.arange(len(points))
    margins = cutoff_a / cell_heights(lattice_a)
    for axis in np.flatnonzero(periodic):
        margin = margins[axis]
        reach = int(np.ceil(margin))
        sets = [(points, owners)]
        for step in (k for k in range(-reach, reach + 1) if k):
            along = points[:, axis] + step
            near = (along > -margin) & (along < 1 + margin)
            sets.append((points[near] + step * np.eye(3)[axis], owners[near]))
        points = np.concatenate([images for images, _ in sets])
        owners = np.concatenate([names for _, names in sets])
    return points @ lattice_a, owners
