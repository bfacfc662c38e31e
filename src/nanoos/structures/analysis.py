"""Everything that is derived from a structure and stored beside it."""

from __future__ import annotations

from dataclasses import dataclass

from nanoos.steps import pause
from nanoos.structures import formula
from nanoos.structures.fingerprint import FINGERPRINT_VERSION, fingerprint
from nanoos.structures.structure import Structure
from nanoos.structures.symmetry import CellParameters, SpaceGroup, SymmetrySearch

ANALYSIS_VERSION = 2  # 1 had no ratios, conventional cell and protostructure
SYMPREC_STRICT_A = 0.01
SYMPREC_LOOSE_A = 0.1


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a structure is made of, its symmetry and its fingerprint.

    ``elements_ratios`` are the fractions of atoms, in the order of ``elements``.
    ``hill_formula`` is None for occupancies that do not add up to whole atoms. Volume and
    density are None unless the structure repeats in all three directions, and so are the
    space groups (strict: within 0.01 Å, loose: within 0.1 Å), the conventional cell (a, b, c
    in Å, alpha, beta, gamma in degrees) and the protostructure, both at the loose tolerance.
    Structures of more than 2,000 sites are stored without symmetry.
    """

    elements: tuple[str, ...]
    elements_ratios: tuple[float, ...]
    chemical_system: str
    reduced_formula: str
    anonymous_formula: str
    hill_formula: str | None
    n_sites: int
    n_periodic: int
    is_ordered: bool
    volume_a3: float | None
    density_g_per_cm3: float | None
    space_group_strict: SpaceGroup | None
    space_group_loose: SpaceGroup | None
    conventional_cell: CellParameters | None
    protostructure: str | None
    fingerprint: str
    fingerprint_version: int


def analyse(structure: Structure) -> Analysis:
    """Derive formulas, volume, density, symmetry and fingerprint. Raises SymmetryError."""
    composition = structure.composition
    n_atoms = sum(composition.values())
    search = SymmetrySearch(structure)
    pause()
    loose = search.within(SYMPREC_LOOSE_A)
    pause()
    return Analysis(
        elements=tuple(composition),
        elements_ratios=tuple(n / n_atoms for n in composition.values()),
        chemical_system=formula.chemical_system(composition),
        reduced_formula=formula.reduced(composition),
        anonymous_formula=formula.anonymous(composition),
        hill_formula=formula.hill(composition, molecule=structure.n_periodic == 0),
        n_sites=structure.n_sites,
        n_periodic=structure.n_periodic,
        is_ordered=structure.is_ordered,
        volume_a3=structure.volume_a3,
        density_g_per_cm3=structure.density_g_per_cm3,
        space_group_strict=search.space_group(SYMPREC_STRICT_A),
        space_group_loose=loose.space_group if loose else None,
        conventional_cell=loose.conventional_cell if loose else None,
        protostructure=loose.protostructure if loose else None,
        fingerprint=fingerprint(structure),
        fingerprint_version=FINGERPRINT_VERSION,
    )
