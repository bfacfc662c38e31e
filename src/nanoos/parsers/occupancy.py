"""Species from what occupies a site and how often, and the disorder that follows."""

from __future__ import annotations

from collections.abc import Mapping

from nanoos.structures import Species, Structure
from nanoos.structures.structure import OCCUPANCY_TOLERANCE, VACANCY

ALTERNATIVE_GROUPS = "alternative groups"
"""The disorder of sites of which a file says that they are there together, or others are."""

_ROUNDING = 1e-6  # of occupancies that files write with few digits, or as sums of floats
_HYDROGEN = {"D": "H", "T": "H"}


def species_of(shares: Mapping[str, float]) -> Species:
    """Return the species of element → occupancy, named after its content.

    What is not occupied is vacancy. Deuterium and tritium are hydrogen. Raises StructureError:
    no element, no known element, an occupancy that is not within 0..1.
    """
    occupied: dict[str, float] = {}
    for symbol, share in sorted(shares.items()):
        if symbol != VACANCY and share != 0:
            element = _HYDROGEN.get(symbol, symbol)
            occupied[element] = occupied.get(element, 0.0) + share
    total = sum(occupied.values())
    if abs(total - 1.0) <= _ROUNDING:
        occupied = {element: share / total for element, share in occupied.items()}
    if list(occupied.values()) == [1.0]:
        return Species(next(iter(occupied)), tuple(occupied), (1.0,))
    name = "".join(f"{element}{share:.6g}" for element, share in occupied.items())
    if 1.0 - total > OCCUPANCY_TOLERANCE:
        occupied[VACANCY] = 1.0 - total
    return Species(name or VACANCY, tuple(occupied), tuple(occupied.values()))


def disorder_of(structure: Structure) -> list[str]:
    """Return the ways in which a structure is disordered, none for an ordered one."""
    symbols = [species.chemical_symbols for species in structure.species]
    kinds = {
        "partial occupancy": any(VACANCY in several for several in symbols),
        "mixed occupancy": any(len(set(several) - {VACANCY}) > 1 for several in symbols),
        "split positions": structure.is_split,
    }
    return [kind for kind, is_there in kinds.items() if is_there]
