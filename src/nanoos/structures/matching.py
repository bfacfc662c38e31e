"""Near-duplicates: how far the atoms of one structure are from those of another.

Two structures match when one can be laid over the other by a rotation, a translation, another
choice of cell and a small strain so that sites of like content lie within a tolerance of each
other, one to one. Of all the ways to do so the one with the smallest root mean square
displacement counts. It is the same whichever structure comes first, and whatever cell,
supercell, origin, orientation or order of sites describes them.

Displacements are taken in the mean of the two cells: what the strain explains is no
displacement. Mirror images are not laid over each other. Nothing is scaled: the strain allowed
is that between two measurements of one substance, not between two substances of one type.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import exp, sqrt

import numpy as np

from nanoos.errors import StructureError
from nanoos.structures import formula, turning
from nanoos.structures.mapping import lattice_mappings
from nanoos.structures.overlay import Frame, Group, Mask, assigned, groups_of_sites, shifts
from nanoos.structures.primitive import EXACT_A, Indices, PrimitiveCell, primitive_cell
from nanoos.structures.search import MOST_SITES
from nanoos.structures.structure import MIN_DISTANCE_A, Array, Structure

MATCHING_VERSION = 1
"""Of what is found to match, and how far apart; it changes with the tolerances, too."""

_EQUAL_A = 1e-7  # a displacement that no other overlay is searched to beat
_EQUAL_STRAIN = 1e-9
_MOST_CELLS = 8  # of the smaller structure in one of the larger


@dataclass(frozen=True, slots=True)
class Tolerances:
    """Up to where two structures still match.

    ``strain`` is the largest absolute logarithm of a principal stretch that takes one cell
    into the other: no length differs by more than that, relatively, no angle by more than
    twice that in radians (0.03: 3 %, 3.4°). ``site_a`` is the largest displacement of a site
    in Å, ``occupancy`` the largest difference of an element's share at one site.
    """

    strain: float = 0.03
    site_a: float = 0.3
    occupancy: float = 0.05


@dataclass(frozen=True, slots=True)
class Match:
    """How two structures that match differ: displacements of sites in Å, and the strain."""

    rms_a: float
    max_a: float
    strain: float


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """Two structures that match: their places in what was searched, the lower first."""

    one: int
    other: int
    match: Match


DEFAULT_TOLERANCES = Tolerances()


def distance(
    one: Structure, other: Structure, tolerances: Tolerances = DEFAULT_TOLERANCES
) -> Match | None:
    """Return how the two differ, or None when they do not match within the tolerances.

    Crystals are compared as crystals, slabs, wires and molecules only with their own kind.
    Raises StructureError for more than 2,000 sites: every one would be held against every other.
    """
    for structure in (one, other):
        if structure.n_sites > MOST_SITES:
            raise StructureError(
                f"{structure.n_sites} sites are too many to compare: at most {MOST_SITES} are."
            )
    return _compared(primitive_cell(one), primitive_cell(other), tolerances)


def near_duplicates(
    structures: Sequence[Structure], tolerances: Tolerances = DEFAULT_TOLERANCES
) -> Iterator[NearDuplicate]:
    """Yield the pairs that match, of those alike in reduced formula and periodic directions.

    Only pairs whose volumes per site (or areas, lengths) are within reach of the strain are
    compared, found by sorting. Structures of more than 2,000 sites are left out.
    """
    buckets: dict[tuple[str, int], list[int]] = defaultdict(list)
    for i, structure in enumerate(structures):
        if structure.n_sites <= MOST_SITES:
            buckets[formula.reduced(structure.composition), structure.n_periodic].append(i)
    for (_, n_periodic), members in buckets.items():
        widest = exp(n_periodic * tolerances.strain) * (1 + 1e-9)
        rooms = sorted((_room_per_site(structures[i]), i) for i in members)
        cells: dict[int, PrimitiveCell] = {}
        for first, (room, i) in enumerate(rooms):
            for larger, j in rooms[first + 1 :]:
                if larger > room * widest:
                    break
                for k in {i, j} - cells.keys():
                    cells[k] = primitive_cell(structures[k])
                match = _compared(cells[i], cells[j], tolerances)
                if match is not None:
                    yield NearDuplicate(min(i, j), max(i, j), match)


def _room_per_site(structure: Structure) -> float:
    """Return the cell's volume in Å3, area in Å2 or length in Å for each site; 1/n without."""
    if structure.lattice_a is None:
        return 1 / structure.n_sites
    repeating = structure.lattice_a[list(structure.periodic)]
    return sqrt(np.linalg.det(repeating @ repeating.T)) / structure.n_sites


def _compared(one: PrimitiveCell, other: PrimitiveCell, tolerances: Tolerances) -> Match | None:
    # The order is settled by the structures, so that rounding is the same both ways.
    other, one = sorted((one, other), key=_order)
    index, rest = divmod(one.n_sites, other.n_sites)
    if one.n_periodic != other.n_periodic or rest or index > _MOST_CELLS:
        return None
    if not one.n_periodic and index > 1:
        return None
    allowed = _allowed(one, other, tolerances.occupancy)
    groups = groups_of_sites(one.kind_at_sites, np.repeat(other.kind_at_sites, index), allowed)
    if groups is None:
        return None
    best: Match | None = None
    for strain, frame, places in _frames(one, other, index, tolerances.strain):
        overlaid = turning.overlays if one.n_periodic < 2 else _overlays
        for away in overlaid(frame, groups, one.fractional, places, tolerances.site_a):
            squares = frame.squares(away)
            match = Match(float(squares.mean() ** 0.5), float(squares.max() ** 0.5), strain)
            if match.max_a <= tolerances.site_a and _is_nearer(match, best):
                best = match
                if best.rms_a < _EQUAL_A:
                    return best
    return best


def _is_nearer(match: Match, best: Match | None) -> bool:
    """Say whether it is nearer than the best before, by more than can be told if more strained.

    Turns that are symmetries to within `EXACT_A` are not tried twice, so that displacements are
    known to that.
    """
    if best is None:
        return True
    is_strained = match.strain > best.strain + _EQUAL_STRAIN
    return match.rms_a < best.rms_a - (EXACT_A if is_strained else 0)


def _order(cell: PrimitiveCell) -> tuple[int, float, bytes]:
    return cell.n_sites, float(np.linalg.det(cell.lattice_a)), cell.fractional.tobytes()


def _allowed(one: PrimitiveCell, other: PrimitiveCell, tolerance: float) -> Mask:
    """Return, kinds × kinds, whether the contents agree."""
    allowed = np.zeros((len(one.kinds), len(other.kinds)), dtype=bool)
    for (i, first), (j, second) in product(enumerate(one.kinds), enumerate(other.kinds)):
        shares, others = dict(first), dict(second)
        allowed[i, j] = all(
            abs(shares.get(element, 0.0) - others.get(element, 0.0)) <= tolerance + 1e-9
            for element in shares | others
        )
    return allowed


def _frames(
    one: PrimitiveCell, other: PrimitiveCell, index: int, strain: float
) -> Iterator[tuple[float, Frame, Array]]:
    """Yield the strain, the mean cell, and the sites of ``other`` in the cell of ``one``."""
    if not one.n_periodic:
        yield 0.0, Frame(np.eye(3), 0), other.fractional
        return
    mappings = lattice_mappings(one.lattice_a, other.lattice_a, one.n_periodic, index, strain)
    seen: set[bytes] = set()
    for size, matrix in mappings:
        if matrix.tobytes() in seen:
            continue
        # Symmetry on either side would only repeat the displacements.
        seen.update(turned.tobytes() for turned in one.turns @ matrix)
        seen.update(turned.tobytes() for turned in matrix @ other.turns)
        strained = matrix @ other.lattice_a
        metric: Array = (one.lattice_a @ one.lattice_a.T + strained @ strained.T) / 2
        inverse = np.linalg.inv(matrix)
        places = other.fractional[:, None] @ inverse + _copies(matrix, inverse, index)
        root = np.asarray(np.linalg.cholesky(metric), dtype=np.float64)
        yield size, Frame(root, one.n_periodic), places.reshape(-1, 3)


def _copies(matrix: Indices, inverse: Array, index: int) -> Array:
    """Return (index, 3) the lattice points in the cell whose vectors are rows of ``matrix``."""
    if index == 1:
        return np.zeros((1, 3))
    reach = np.abs(matrix).sum(axis=0)
    points = np.array(list(product(*(range(-r, r + 1) for r in reach)))) @ inverse
    inside = (points > -1e-6).all(axis=1) & (points < 1 - 1e-6).all(axis=1)
    return points[inside]


def _overlays(
    frame: Frame, groups: list[Group], one: Array, other: Array, tolerance_a: float
) -> Iterator[Array]:
    """Yield the displacements of crystals and slabs laid over each other, for each way to do so.

    A shift that brings two sites together leaves the others within twice the tolerance; the
    best shift for given partners is the mean.
    """
    for shift in shifts(frame, groups[0], one, other, 2 * tolerance_a):
        shifted = other + shift
        partners = assigned(frame, groups, one, shifted, 2 * tolerance_a)
        while partners is not None:
            away = frame.differences(one, shifted[partners])
            mean = away.mean(axis=0)
            away -= mean
            again = None
            # Sites nearer than half of what keeps them apart have no better partner.
            if frame.squares(away).max() > (MIN_DISTANCE_A / 2) ** 2:
                shifted = shifted - mean
                again = assigned(frame, groups, one, shifted, 2 * tolerance_a)
            if again is None or (again == partners).all():
                yield away
                break
            partners = again
