"""How dense k-points are: the distance of neighbours along a reciprocal vector."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from nanoos.structures.structure import Array

_MAX_DIVISIONS = 100  # of a grid of k-points along an axis
_DIVISIONS_AT_ONCE = 20
_K_TOLERANCE = 2e-5  # of a fractional coordinate: printed with seven digits


def grid_spacing_per_a(cell_a: Array, divisions: Iterable[int]) -> float | None:
    """Return the largest distance of neighbours in a Monkhorst–Pack grid, in 1/Å with 2π.

    None where the grid has no points, or the cell no volume.
    """
    counts = np.array(list(divisions), dtype=np.float64)
    if counts.shape != (3,) or (counts < 1).any() or not np.linalg.det(cell_a):
        return None
    reciprocal = 2 * np.pi * np.linalg.inv(cell_a).T
    return float((np.linalg.norm(reciprocal, axis=1) / counts).max())


def list_spacing_per_a(cell_a: Array, points_per_a: Array, weights: Array) -> float | None:
    """Return the same for k-points (n, 3) in 1/Å with 2π: those left of a grid by symmetry.

    Along each axis the grid is the coarsest that holds all differences of points and of their
    opposites; axes that are equally long may have been turned into each other. None where they
    lie on no grid, or where the weight of Γ, of which there is one, tells of another; and where
    the cell has no volume.
    """
    if not np.linalg.det(cell_a):
        return None
    fractions = points_per_a @ cell_a.T / (2 * np.pi)
    divisions = np.array([_divisions(axis) for axis in fractions.T])
    lengths = np.linalg.norm(np.linalg.inv(cell_a), axis=0)
    turned = np.array(
        [divisions[np.isclose(lengths, length, rtol=1e-4)].max() for length in lengths]
    )
    at_gamma = np.abs(fractions).max(axis=1) < _K_TOLERANCE
    total = np.round(weights.sum() / weights[at_gamma].sum()) if at_gamma.any() else turned.prod()
    for grid in (divisions, turned):
        if grid.prod() == total:
            return grid_spacing_per_a(cell_a, grid)
    return None


def _divisions(fractions: Array) -> int:
    """Return of how many points a grid along an axis is; 0 where no small number fits."""
    both = np.sort(np.concatenate([fractions, -fractions]) % 1.0)
    steps = both - both[0]
    for first in range(1, _MAX_DIVISIONS + 1, _DIVISIONS_AT_ONCE):
        counts = np.arange(first, first + _DIVISIONS_AT_ONCE)
        parts = steps * counts[:, None]
        fits = np.abs(parts - np.round(parts)).max(axis=1) < _K_TOLERANCE * counts
        if fits.any():
            return int(counts[fits.argmax()])
    return 0
