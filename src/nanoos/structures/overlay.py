"""Laying the sites of one structure over those of another, both in one cell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from nanoos.structures.primitive import Indices
from nanoos.structures.structure import Array

Mask = NDArray[np.bool_]
_FAR = 1e6  # Å2, for pairs that may not be: still cheaper than none at all


@dataclass(frozen=True, slots=True)
class Group:
    """Sites that may only be laid over each other: indices into both, and which over which."""

    one: Indices
    other: Indices
    allowed: Mask | None  # None: any over any


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """The cell in which both are seen: ``metric`` turns its coordinates into Å."""

    metric: Array
    n_periodic: int

    def differences(self, one: Array, other: Array) -> Array:
        """Return ``other - one`` by the shortest way, in coordinates of the cell."""
        away = other - one
        repeating = away[..., : self.n_periodic]
        repeating -= np.round(repeating)
        return away

    def squares(self, differences: Array) -> Array:
        """Return the squared lengths in Å2."""
        cartesian = differences @ self.metric
        squares: Array = np.einsum("...i,...i->...", cartesian, cartesian)
        return squares


def groups_of_sites(one: Indices, other: Indices, allowed: Mask) -> list[Group] | None:
    """Return the sites that ``allowed`` (kinds × kinds) joins, small groups first.

    None where the numbers of sites show that they cannot be laid over each other.
    """
    groups = []
    for kinds, others in _components(allowed):
        sites, places = np.flatnonzero(np.isin(one, kinds)), np.flatnonzero(np.isin(other, others))
        if len(sites) != len(places):
            return None
        pairs = allowed[one[sites][:, None], other[places]]
        groups.append(Group(sites, places, None if pairs.all() else pairs))
    return sorted(groups, key=lambda group: len(group.one))


def _components(allowed: Mask) -> Iterator[tuple[list[int], list[int]]]:
    rows, columns = set(range(allowed.shape[0])), set(range(allowed.shape[1]))
    while rows or columns:
        kinds = {rows.pop()} if rows else set()
        others: set[int] = set() if kinds else {columns.pop()}
        while True:
            reached = {j for j in columns if any(allowed[i, j] for i in kinds)}
            others |= reached
            columns -= reached
            back = {i for i in rows if any(allowed[i, j] for j in others)}
            kinds |= back
            rows -= back
            if not reached and not back:
                break
        yield sorted(kinds), sorted(others)


def assigned(
    frame: Frame, groups: list[Group], one: Array, other: Array, cutoff_a: float
) -> Indices | None:
    """Return for each site of ``one`` that of ``other`` laid over it; None beyond the cutoff.

    The sum of squared distances is the smallest possible.
    """
    partners = np.empty(len(one), dtype=np.intp)
    for group in groups:
        away = frame.differences(one[group.one][:, None], other[group.other][None])
        costs = frame.squares(away)
        if group.allowed is not None:
            costs = np.where(group.allowed, costs, _FAR)
        nearest = costs.argmin(axis=1)
        if costs[np.arange(len(nearest)), nearest].max() > cutoff_a**2:
            return None
        if len(set(nearest.tolist())) < len(nearest):
            costs = np.where(costs > cutoff_a**2, _FAR, costs)
            nearest = linear_sum_assignment(costs)[1]
            if costs[np.arange(len(nearest)), nearest].max() >= _FAR:
                return None
        partners[group.one] = group.other[nearest]
    return partners


def shifts(frame: Frame, group: Group, one: Array, other: Array, cutoff_a: float) -> Array:
    """Return (m, 3) the shifts of ``other`` that lay a group's sites near each other.

    Each brings one site of ``other`` onto the first of the group.
    """
    sites, places = one[group.one], other[group.other]
    tried = sites[0] - places if group.allowed is None else sites[0] - places[group.allowed[0]]
    kept = []
    block = max(1, 2_000_000 // len(sites) ** 2)
    for start in range(0, len(tried), block):
        some = tried[start : start + block, None, None]
        away = frame.differences(sites[:, None], places[None] + some)
        worst = frame.squares(away).min(axis=2).max(axis=1)
        kept.append(tried[start : start + block][worst <= cutoff_a**2])
    return np.concatenate(kept)
