"""moyo's search for symmetry, kept from those that would not end, or tell nothing new.

A lattice vector much longer than the others, c, has many of nearly its length: c + d is longer
by d²/2c only. All within the tolerance are tried, in combination; at some 40 of them moyo 0.21
takes minutes and gigabytes. With supercells its time grows with the square of the sites.
"""

from __future__ import annotations

from math import pi

import moyopy
import numpy as np

from nanoos.structures.geometry import inverse, longest_vector_a, signed_volume_a3
from nanoos.structures.structure import Array

MOST_SITES = 2000  # 2 s
_MOST_VECTORS = 12
_FINEST_A = 1e-7
_SURELY = 10
"""Operations hold within twice the deviation from the symmetrised structure, and metric noise."""


class Search:
    """The symmetry of one cell, at any number of tolerances."""

    def __init__(self, lattice_a: Array, fractional: Array, kind_at_sites: list[int]) -> None:
        self._lattice_a = lattice_a
        self._fractional = fractional
        self._n_sites = len(kind_at_sites)
        self._cell = moyopy.Cell(lattice_a.tolist(), fractional.tolist(), kind_at_sites)
        self._found: dict[float, moyopy.MoyoDataset | None] = {}

    def within(self, symprec_a: float) -> moyopy.MoyoDataset | None:
        """Return what moyo finds within ``symprec_a`` Å, or less where that would not end.

        None for more than 2,000 sites, and where no tolerance will do. Raises ValueError when
        moyo fails.
        """
        if symprec_a not in self._found:
            self._found[symprec_a] = self._known(symprec_a) or self._within(symprec_a)
        return self._found[symprec_a]

    def _known(self, symprec_a: float) -> moyopy.MoyoDataset | None:
        """Return what was found within more than ``symprec_a`` Å if it holds within that, too."""
        for found in filter(None, self._found.values()):
            if found.symprec > symprec_a and self._deviation_a(found) < symprec_a / _SURELY:
                return found
        return None

    def _deviation_a(self, found: moyopy.MoyoDataset) -> float:
        """Return by how many Å a site or lattice vector differs from the symmetrised ones.

        moyo's cells are refined; its transformation (P, p) takes lattice vectors as columns to
        A·P, and fractional coordinates to P⁻¹(x - p).
        """
        change, ideal = np.array(found.prim_std_linear), found.prim_std_cell
        basis = np.array(ideal.basis)
        placed = (self._fractional - found.prim_std_origin_shift) @ inverse(change).T
        apart = placed - np.array(ideal.positions)[found.mapping_std_prim]
        apart = (apart - np.round(apart)) @ basis
        vectors = change.T @ self._lattice_a
        # Products of vectors know no rotation; over the shortest one they are lengths.
        products = np.abs(vectors @ vectors.T - basis @ basis.T).max()
        shortest = np.sqrt(np.einsum("ij,ij->i", basis, basis).min())
        farthest = np.sqrt(np.einsum("ij,ij->i", apart, apart).max())
        return max(float(farthest), float(products / shortest))

    def _within(self, symprec_a: float) -> moyopy.MoyoDataset | None:
        if self._n_sites > MOST_SITES or symprec_a < _FINEST_A:
            return None
        # At worst each site is a primitive cell; a finer search tells.
        if _vectors_alike(self._lattice_a, self._n_sites, symprec_a) > _MOST_VECTORS:
            finer = self.within(symprec_a / 10)
            if finer is None:
                return None
            primitive = np.array(moyopy.niggli_reduce(finer.prim_std_cell.basis)[0])
            if _vectors_alike(primitive, 1, symprec_a) > _MOST_VECTORS:
                return finer
        return moyopy.MoyoDataset(self._cell, symprec=symprec_a)


def _vectors_alike(lattice_a: Array, n_cells: int, symprec_a: float) -> float:
    """Return how many lattice vectors may be as long as the longest, to within ``symprec_a``."""
    volume = abs(signed_volume_a3(lattice_a)) / n_cells
    return 2 * pi * symprec_a * longest_vector_a(lattice_a) ** 2 / volume
