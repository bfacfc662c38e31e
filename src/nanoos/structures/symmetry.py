"""Space groups, found by moyo with a stated tolerance."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import moyopy

from nanoos.errors import SymmetryError
from nanoos.structures.structure import Structure

# It warns of operators that a supercell does not share; only the space-group type is used here.
logging.getLogger("moyo").setLevel(logging.ERROR)


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


def space_group(structure: Structure, symprec_a: float) -> SpaceGroup | None:
    """Return the space group within ``symprec_a`` Å; None unless periodic in three directions.

    Sites are of one kind when they hold the same elements with the same occupancies. moyo
    lowers the tolerance by itself where the operations found within it form no group.
    Raises SymmetryError when the search fails.
    """
    if structure.lattice_a is None or structure.n_periodic < 3:
        return None
    content = [tuple(s.occupancy.items()) for s in structure.site_species]
    kinds = {species: i for i, species in enumerate(sorted(set(content)))}
    cell = moyopy.Cell(
        structure.lattice_a.tolist(),
        structure.fractional.tolist(),
        [kinds[species] for species in content],
    )
    try:
        found = moyopy.MoyoDataset(cell, symprec=symprec_a)
    except ValueError as error:
        raise SymmetryError(
            f"The space group could not be determined within {symprec_a} Å: {error}."
        ) from error
    return SpaceGroup(
        number=found.number,
        symbol=moyopy.SpaceGroupType(found.number).hm_short.replace(" ", ""),
        hall_number=found.hall_number,
        symprec_a=symprec_a,
        engine="moyopy",
        engine_version=moyopy.__version__,
    )
