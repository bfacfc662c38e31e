"""The band gap, from eigenvalues and occupations that are read k-point by k-point."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from nanoos.structures.structure import Array

DIRECT_EV = 1e-4
"""A gap is direct when no k-point's own gap is wider than the smallest by more than this."""
_HALF = 0.5
_UNEVEN = 0.1  # of an occupation: more above the gap than is missing below it


@dataclass
class Bands:
    """The edges of the bands at each k-point. Memory grows with the k-points, not the bands."""

    _tops_ev: dict[int, float] = field(default_factory=dict)
    _bottoms_ev: dict[int, float] = field(default_factory=dict)
    _n_full: defaultdict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    _above: float = 0.0
    _missing: float = 0.0

    def __len__(self) -> int:
        """Return of how many k-points bands are known."""
        return len(self._tops_ev)

    def add(
        self, spin: int, k_points: Iterable[int], energies_ev: Array, occupations: Array
    ) -> None:
        """Add (n, m) bands of one spin at n k-points; occupations are from 0 to 1."""
        full = occupations > _HALF
        tops = np.where(full, energies_ev, -np.inf).max(axis=1)
        bottoms = np.where(full, np.inf, energies_ev).min(axis=1)
        for place, top, bottom in zip(k_points, tops.tolist(), bottoms.tolist(), strict=True):
            self._tops_ev[place] = max(top, self._tops_ev.get(place, -np.inf))
            self._bottoms_ev[place] = min(bottom, self._bottoms_ev.get(place, np.inf))
        self._n_full[spin].update(full.sum(axis=1).tolist())
        self._above = max(self._above, float(occupations[~full].max(initial=0.0)))
        self._missing = max(self._missing, 1 - float(occupations[full].min(initial=1.0)))

    def gap(self) -> tuple[float | None, bool | None]:
        """Return the fundamental gap in eV, and whether it is direct.

        A band that is full at some k-points only makes a metal, whose gap is 0; so does a level
        that is filled in part while all below it is full. None where no empty or no full band
        was calculated. Edges at one k-point make a gap direct, whatever their spins.
        """
        if not self._tops_ev:
            return None, None
        if any(len(counts) > 1 for counts in self._n_full.values()):
            return 0.0, None
        gap = min(self._bottoms_ev.values()) - max(self._tops_ev.values())
        if not np.isfinite(gap):
            return None, None
        if gap <= 0 or self._above - self._missing > _UNEVEN:
            return 0.0, None
        narrowest = min(self._bottoms_ev[k] - top for k, top in self._tops_ev.items())
        return round(gap, 9), narrowest <= gap + DIRECT_EV
