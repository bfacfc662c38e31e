"""Lattice mappings: the ways in which one lattice, a little strained, becomes another."""

from __future__ import annotations

from itertools import product

import numpy as np

from nanoos.structures.geometry import cell_heights
from nanoos.structures.primitive import Indices
from nanoos.structures.structure import Array

_MOST_VECTORS = 400_000  # of the grid searched; no pair of real crystals comes near


def lattice_mappings(
    one_a: Array, other_a: Array, n_periodic: int, index: int, strain: float
) -> list[tuple[float, Indices]]:
    """Return (strain, M) so that ``M @ other_a`` is ``one_a``, turned and strained, least first.

    M is an integer matrix of determinant ``index``, so the handedness is kept. The strain is
    the largest absolute logarithm of a principal stretch between the two: the same in both
    directions and in any basis. No length changes by more than that, relatively, and no angle
    by more than twice that, in radians.
    """
    rows = _candidates(one_a, other_a, n_periodic, strain)
    if rows is None:
        return []
    matrices = _combined(rows, one_a, other_a, n_periodic, strain)
    determinants = np.round(np.linalg.det(matrices)).astype(int)
    matrices = matrices[determinants == index]
    stretches = np.linalg.svd(np.linalg.inv(one_a) @ (matrices @ other_a), compute_uv=False)
    strains = np.abs(np.log(stretches)).max(axis=1, initial=0.0)
    order = [i for i in np.argsort(strains, kind="stable") if strains[i] <= strain]
    return [(float(strains[i]), matrices[i]) for i in order]


def _candidates(
    one_a: Array, other_a: Array, n_periodic: int, strain: float
) -> list[Indices] | None:
    """Return for each vector of ``one_a`` the combinations of ``other_a`` of its length."""
    lengths = np.linalg.norm(one_a[:n_periodic], axis=1)
    reach = np.floor(lengths.max() * np.exp(strain) / cell_heights(other_a)).astype(int)
    reach[n_periodic:] = 0
    if np.prod(2.0 * reach + 1) > _MOST_VECTORS:
        return None
    grid = np.array(list(product(*(range(-r, r + 1) for r in reach))))
    found = np.linalg.norm(grid @ other_a, axis=1)
    rows = []
    for length in lengths:
        rows.append(grid[_alike(found, length, strain)])
    across = np.eye(3, dtype=int)[n_periodic:]
    return rows + [np.array([vector, -vector]) for vector in across]


def _combined(
    rows: list[Indices], one_a: Array, other_a: Array, n_periodic: int, strain: float
) -> Indices:
    """Return the triples of rows whose angles with each other fit too."""
    fits = {}
    for i, j in ((0, 1), (0, 2), (1, 2)):
        fits[i, j] = np.ones((len(rows[i]), len(rows[j])), dtype=bool)
        if j >= n_periodic:
            continue
        u, v = (rows[i] @ other_a)[:, None], (rows[j] @ other_a)[None]
        for sign in (1, -1):
            length = float(np.linalg.norm(one_a[i] + sign * one_a[j]))
            fits[i, j] &= _alike(np.linalg.norm(u + sign * v, axis=2), length, strain)
    together = fits[0, 1][:, :, None] & fits[0, 2][:, None, :] & fits[1, 2][None, :, :]
    chosen = np.nonzero(together)
    return np.stack([row[places] for row, places in zip(rows, chosen, strict=True)], axis=1)


def _alike(lengths: Array, length: float, strain: float) -> np.ndarray:
    """Whether two lengths may be one before and after the strain."""
    with np.errstate(divide="ignore"):
        return np.abs(np.log(lengths / length)) <= strain + 1e-9
