"""Laying molecules and wires over each other: here a rotation is to be found too."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nanoos.structures.overlay import Frame, Group, assigned
from nanoos.structures.primitive import Indices
from nanoos.structures.structure import Array

_MOST_ROUNDS = 20


def overlays(
    frame: Frame, groups: list[Group], one: Array, other: Array, tolerance_a: float
) -> Iterator[Array]:
    """Yield the displacements of molecules or wires laid over each other, for each way to do so.

    Around their centroids, or the axes through them, sites are turned onto like sites; then
    partners and the best rotation for them (W. Kabsch, Acta Cryst. A32, 922 (1976)) are found
    in turns until neither changes.
    """
    along = frame.n_periodic
    one, other = one.copy(), other.copy()
    one[:, along:] -= one[:, along:].mean(axis=0)
    other[:, along:] -= other[:, along:].mean(axis=0)
    for turned in _turned(groups, one, other, along, tolerance_a):
        placed, partners = turned, None
        for _ in range(_MOST_ROUNDS):
            again = assigned(frame, groups, one, placed, np.inf)
            if again is None or (partners is not None and (again == partners).all()):
                break
            partners = again
            placed = _fitted(frame, one, placed, partners)
        if partners is not None:
            yield frame.differences(one, placed[partners])


def _fitted(frame: Frame, one: Array, other: Array, partners: Indices) -> Array:
    """Return ``other`` turned and shifted so that partners lie closest."""
    along = frame.n_periodic
    turn = _rotation(other[partners][:, along:], one[:, along:])
    fitted = np.concatenate([other[:, :along], other[:, along:] @ turn], axis=1)
    mean = frame.differences(one, fitted[partners]).mean(axis=0)
    shifted: Array = fitted - mean
    return shifted


def _rotation(points: Array, onto: Array) -> Array:
    """Return the proper rotation R for which ``points @ R`` is nearest to ``onto``."""
    u, _, vt = np.linalg.svd(points.T @ onto)
    signs = np.ones(len(u))
    signs[-1] = np.sign(np.linalg.det(u @ vt))
    rotation: Array = (u * signs) @ vt
    return rotation


def _turned(
    groups: list[Group], one: Array, other: Array, along: int, tolerance_a: float
) -> Iterator[Array]:
    """Yield ``other`` turned so that a site, of a molecule two, points the way of its partner."""
    radii = np.linalg.norm(one[:, along:], axis=1)
    distances = np.linalg.norm(other[:, along:], axis=1)
    first = _reference(groups, radii)
    first_site = first.one[radii[first.one].argmax()]
    second, second_site = first, first_site
    if along == 0:
        lever = np.linalg.norm(np.cross(one, one[first_site]), axis=1)
        second = _reference(groups, lever)
        second_site = second.one[lever[second.one].argmax()]
    target = one[[first_site, second_site]]
    gap = np.linalg.norm(target[0] - target[1])
    for place in first.other[np.abs(distances[first.other] - radii[first_site]) <= tolerance_a]:
        if along:
            shifted = other.copy()
            shifted[:, :along] += target[0, :along] - other[place, :along]
            turn = _rotation(other[[place], along:], target[:1, along:])
            yield np.concatenate([shifted[:, :along], other[:, along:] @ turn], axis=1)
            continue
        for mate in second.other:
            apart = np.linalg.norm(other[place] - other[mate])
            if abs(apart - gap) <= 2 * tolerance_a and (mate != place or gap == 0):
                yield other @ _rotation(other[[place, mate]], target)


def _reference(groups: list[Group], levers: Array) -> Group:
    """Return the smallest group that reaches at least half as far out as any."""
    far = levers.max() / 2
    return next(group for group in groups if levers[group.one].max() >= far)
