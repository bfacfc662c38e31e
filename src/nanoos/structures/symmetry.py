"""Space groups and what follows from them, found by moyo with a stated tolerance."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache

import moyopy
import numpy as np

from nanoos.errors import SymmetryError
from nanoos.structures.centring import primitive_part
from nanoos.structures.geometry import lengths_and_angles, longest_vector_a
from nanoos.structures.protostructure import kinds_of_site, label
from nanoos.structures.search import MOST_SITES, Search
from nanoos.structures.structure import Array, Structure

# It warns of operators that a supercell does not share; only the space-group type is used here.
logging.getLogger("moyo").setLevel(logging.ERROR)

_LONGEST_A = 30.0
"""Of a few thousand random centred cells, some longer ones had another group as primitive ones."""

CellParameters = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class SpaceGroup:
    """A space-group type, with the tolerance and the program it was found by.

    ``symbol`` is the short Hermann–Mauguin symbol without spaces (``Fm-3m``, ``P2_1/c``);
    ``hall_number`` (1..530) names the setting.
    """

    number: int
    symbol: str
    hall_number: int
    symprec_a: float
    engine: str
    engine_version: str


@dataclass(frozen=True, slots=True)
class Symmetry:
    """What one search for symmetry finds in a structure that repeats in three directions.

    ``conventional_cell`` holds a, b, c in Å and alpha, beta, gamma in degrees of the standard
    conventional cell (ITA: unique axis b, hexagonal axes), averaged over the symmetry found.
    """

    space_group: SpaceGroup
    conventional_cell: CellParameters
    protostructure: str


class SymmetrySearch:
    """Searches for the symmetry of one structure, at any number of tolerances.

    Sites are of one kind when they hold the same elements with the same occupancies. What has
    over 2,000 sites is not searched and has no symmetry.
    """

    def __init__(self, structure: Structure) -> None:
        self._kinds, self._kind_at_sites = kinds_of_site(structure)
        self._search = None
        if structure.n_periodic == 3 and structure.lattice_a is not None:
            cell = structure.lattice_a, structure.fractional, self._kind_at_sites
            if _is_reducible(structure):
                cell = primitive_part(*cell)
            *_, self._kind_at_sites = cell
            self._search = Search(*cell)

    def within(self, symprec_a: float) -> Symmetry | None:
        """Return the symmetry within ``symprec_a`` Å; None where there is no space group."""
        found = self._dataset(symprec_a)
        if found is None:
            return None
        return Symmetry(
            space_group=_space_group(found, symprec_a),
            conventional_cell=_cell_parameters(found),
            protostructure=label(found, self._kinds, self._kind_at_sites),
        )

    def space_group(self, symprec_a: float) -> SpaceGroup | None:
        """Return the space group within ``symprec_a`` Å alone; see `space_group`."""
        found = self._dataset(symprec_a)
        return None if found is None else _space_group(found, symprec_a)

    def _dataset(self, symprec_a: float) -> moyopy.MoyoDataset | None:
        return None if self._search is None else _found(self._search, symprec_a)


def space_group(structure: Structure, symprec_a: float) -> SpaceGroup | None:
    """Return the space group within ``symprec_a`` Å; None unless periodic in three directions.

    moyo lowers the tolerance by itself where the operations found within it form no group; for
    cells so long that it would not end, it is lowered tenfold. None for more than 2,000 sites.
    Raises SymmetryError when the search fails.
    """
    return SymmetrySearch(structure).space_group(symprec_a)


def point_group(structure: Structure, symprec_a: float) -> Array:
    """Return the (n, 3, 3) rotations, proper and not, that map the crystal onto itself.

    They act on Cartesian columns, within ``symprec_a`` Å and up to a shift. Where no symmetry is
    searched for, the identity alone. Raises SymmetryError when the search fails.
    """
    found, lattice_a = None, structure.lattice_a
    if structure.n_periodic == 3 and lattice_a is not None:
        # The cell as it is: a primitive one of a supercell may have other rotations.
        search = Search(lattice_a, structure.fractional, kinds_of_site(structure)[1])
        found = _found(search, symprec_a)
    if found is None or lattice_a is None:
        return np.eye(3)[None]
    turns = np.unique(np.array(found.operations.rotations), axis=0)
    axes = lattice_a.T
    # Of a cell within the tolerance only, they are nearly orthogonal; the nearest ones are.
    left, _, right = np.linalg.svd(axes @ turns @ np.linalg.inv(axes))
    rotations: Array = left @ right
    return rotations


def _is_reducible(structure: Structure) -> bool:
    """Say whether a primitive cell surely has the symmetry that is found in the one given.

    Where atoms lie at nearly one place, or many vectors are as long as one of the cell, moyo
    may find another within the tolerance.
    """
    lattice_a = structure.lattice_a
    if structure.is_split or structure.n_sites > MOST_SITES or lattice_a is None:
        return False
    return longest_vector_a(lattice_a) < _LONGEST_A


def _found(search: Search, symprec_a: float) -> moyopy.MoyoDataset | None:
    try:
        return search.within(symprec_a)
    except ValueError as error:
        raise SymmetryError(
            f"The space group could not be determined within {symprec_a} Å: {error}."
        ) from error


def _space_group(found: moyopy.MoyoDataset, symprec_a: float) -> SpaceGroup:
    return SpaceGroup(
        number=found.number,
        symbol=_symbol(found.number),
        hall_number=found.hall_number,
        symprec_a=symprec_a,
        engine="moyopy",
        engine_version=moyopy.__version__,
    )


@cache
def _symbol(number: int) -> str:
    return moyopy.SpaceGroupType(number).hm_short.replace(" ", "")


def _cell_parameters(found: moyopy.MoyoDataset) -> CellParameters:
    lengths_a, angles_deg = lengths_and_angles(np.array(found.std_cell.basis))
    a, b, c = lengths_a.tolist()
    alpha, beta, gamma = angles_deg.tolist()
    return a, b, c, alpha, beta, gamma
