"""The convex hull of a chemical system, at 0 K and no pressure.

A compound is stable where no mixture of others with the same composition has a lower energy: where
it lies on the lower convex hull of the energies over the compositions. Every energy of a hull must
come from one method.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nanoos.errors import ReferencesMissing, ThermodynamicsError
from nanoos.structures.formula import Composition

STABLE_EV_PER_ATOM = 1e-8
"""Entries above the hull by no more lie on it."""
SAME_FRACTION = 1e-8
"""Atomic fractions that differ by less are one composition."""
SMALLEST_SHARE = 1e-8
"""A product of a decomposition that makes up less is none."""
FLAT = 1e-14
"""A facet with a smaller determinant of its corners' atomic fractions covers no compositions."""

Array = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Entry:
    """A compound: element → number of atoms in any amount of it, and its energy in eV per atom."""

    composition: Composition
    energy_ev_per_atom: float


Decomposition = Mapping[int, float]
"""The entry that takes part → its share of the atoms; the shares add up to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hull:
    """The convex hull of n entries over m elements; arrays are in the order of the entries.

    Parameters
    ----------
    elements
        In alphabetical order.
    fractions
        (n, m) atomic fractions.
    references
        (m,) the entry of each element, its most stable form.
    formation_ev_per_atom
        (n,) formation energies in eV per atom: against the references, negative where the
        compound is more stable than they are.
    above_hull_ev_per_atom
        (n,) energies above the hull in eV per atom, 0 where an entry lies on it.
    decompositions
        What each entry turns into in equilibrium; a stable entry stays what it is.
    facets
        (k, m) entries that are in equilibrium with each other: the faces of the hull as
        simplices. In a binary system they are the pieces of the hull's line, in a ternary one
        the triangles between tie lines.
    """

    elements: tuple[str, ...]
    fractions: Array
    references: Indices
    formation_ev_per_atom: Array
    above_hull_ev_per_atom: Array
    decompositions: tuple[Decomposition, ...]
    facets: Indices

    @property
    def is_stable(self) -> NDArray[np.bool_]:
        """(n,) whether an entry lies on the hull."""
        return self.above_hull_ev_per_atom <= STABLE_EV_PER_ATOM


def convex_hull(entries: Sequence[Entry]) -> Hull:
    """Return formation energies, energies above the hull and decompositions of all entries.

    Energy above the hull is the energy per atom that an entry gives off when it decomposes into
    the entries on the hull with the same composition (S. P. Ong, L. Wang, B. Kang, G. Ceder,
    Chem. Mater. 20, 1798 (2008)). The hull is Qhull's (C. B. Barber, D. P. Dobkin,
    H. Huhdanpaa, ACM Trans. Math. Softw. 22, 469 (1996)). Any number of entries may share a
    composition, and any number of elements is possible; time and memory grow fast beyond about
    eight.

    Raises
    ------
    ReferencesMissing
        If there is no entry of an element by itself; it names these elements.
    ThermodynamicsError
        If there is no entry, or one without atoms or without a finite energy.
    """
    elements, fractions, energies = _arrays(entries)
    references = _references(elements, fractions, energies)
    formation = energies - fractions @ energies[references]
    facets = _facets(_candidates(fractions, formation, references), fractions, formation)
    facet_of, shares = _locate(fractions, facets, fractions)
    corners = facets[facet_of]
    above = np.maximum(formation - (shares * formation[corners]).sum(axis=1), 0.0)
    above[above <= STABLE_EV_PER_ATOM] = 0.0
    return Hull(
        elements=elements,
        fractions=fractions,
        references=references,
        formation_ev_per_atom=formation,
        above_hull_ev_per_atom=above,
        decompositions=tuple(
            {i: 1.0} if above[i] == 0 else _decomposition(corners[i], shares[i])
            for i in range(len(entries))
        ),
        facets=facets,
    )


def _arrays(entries: Sequence[Entry]) -> tuple[tuple[str, ...], Array, Array]:
    if not entries:
        raise ThermodynamicsError("There is no entry to make a hull of.")
    elements = tuple(sorted({e for entry in entries for e, n in entry.composition.items() if n}))
    amounts = np.array([[entry.composition.get(e, 0) for e in elements] for entry in entries])
    energies = np.array([entry.energy_ev_per_atom for entry in entries], dtype=float)
    counted = np.isfinite(amounts).all(axis=1) & (amounts >= 0).all(axis=1)
    good = counted & (amounts.sum(axis=1) > 0) & np.isfinite(energies)
    if not good.all():
        raise ThermodynamicsError(
            f"Entry {int(good.argmin()) + 1} has no atoms or no finite energy."
        )
    return elements, amounts / amounts.sum(axis=1, keepdims=True), energies


def _references(elements: Sequence[str], fractions: Array, energies: Array) -> Indices:
    pure = np.where(fractions == 1, energies[:, None], np.inf)
    if missing := np.array(elements)[np.isinf(pure).all(axis=0)].tolist():
        raise ReferencesMissing(missing)
    lowest: Indices = pure.argmin(axis=0)
    return lowest


def _candidates(fractions: Array, formation: Array, references: Indices) -> Indices:
    """Return the entries that may be corners: the references, and what forms from them.

    Of one composition only the lowest: upright facets would join the others.
    """
    formed = np.flatnonzero(formation < -STABLE_EV_PER_ATOM)
    formed = formed[np.argsort(formation[formed], kind="stable")]
    _, first = np.unique(
        np.rint(fractions[formed] / SAME_FRACTION).astype(np.int64), axis=0, return_index=True
    )
    lowest = formed[np.sort(first)]
    return np.concatenate([references, lowest[~np.isin(lowest, references)]])


def _facets(candidates: Indices, fractions: Array, formation: Array) -> Indices:
    """Return the (k, m) lower facets over all compositions, as entries.

    One more point far above the middle gives the points a volume whatever their energies are.
    Facets that go up to it are not of the hull, nor are those that stand upright over a subsystem.
    """
    from scipy.spatial import ConvexHull

    n_elements = fractions.shape[1]
    if len(candidates) == n_elements:  # nothing forms
        return candidates[None, :]
    points = np.column_stack([fractions[candidates, 1:], formation[candidates]])
    far_above = np.append(np.full(n_elements - 1, 1 / n_elements), 1.0)
    simplices = ConvexHull(np.vstack([points, far_above])).simplices
    below: Indices = candidates[simplices[(simplices < len(candidates)).all(axis=1)]]
    covering: Indices = below[np.abs(np.linalg.det(fractions[below])) > FLAT]
    return covering


def _locate(compositions: Array, facets: Indices, fractions: Array) -> tuple[Indices, Array]:
    """Return for each composition its facet, and the share of each of the facet's corners.

    It is the facet whose smallest share is the largest: rounding leaves no composition between
    facets, and on a common edge both give the same mixture.
    """
    facet_of = np.zeros(len(compositions), dtype=np.intp)
    shares = np.full((len(compositions), facets.shape[1]), -np.inf)
    for number, inverse in enumerate(np.linalg.inv(fractions[facets])):
        here = compositions @ inverse
        nearer = here.min(axis=1) > shares.min(axis=1)
        facet_of[nearer], shares[nearer] = number, here[nearer]
    return facet_of, shares


def _decomposition(corners: Indices, shares: Array) -> Decomposition:
    kept = shares > SMALLEST_SHARE
    total = shares[kept].sum()
    parts = sorted(zip(shares[kept] / total, corners[kept], strict=True), reverse=True)
    return {int(corner): float(share) for share, corner in parts}
