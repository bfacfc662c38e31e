"""The entries of type ``structures``: what the standard asks of them, and what we add.

A structure's symbols and settings of its space group are left unknown: they depend on the choice
of axes, which the stored cell need not follow. The space group's number does not.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

from optimade.models import StructureResourceAttributes
from sqlalchemy import Text, and_, case, cast, func, literal, not_
from sqlalchemy.dialects.postgresql import ARRAY, array

from api.models import Material, Structure
from api.optimade.comparisons import Kind
from api.optimade.properties import Entries, Property, by_name, standard
from api.services import criteria
from nanoos.structures.structure import OCCUPANCY_TOLERANCE, VACANCY

_VACANT = 1e-9  # less of a vacancy is rounding


def _standard(name: str, kind: Kind, sql: Any = None, **more: Any) -> Property:
    return standard(StructureResourceAttributes, name, kind, sql, **more)


def species(stored: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return stored species with what they leave empty named as vacancy, as the standard asks."""
    return [_with_vacancy(one) for one in stored]


def _with_vacancy(one: dict[str, Any]) -> dict[str, Any]:
    symbols, shares = one["chemical_symbols"], one["concentration"]
    vacant = 1 - sum(shares)
    rounded = _VACANT if len(symbols) == 1 else OCCUPANCY_TOLERANCE
    if VACANCY in symbols or vacant <= rounded:
        return one
    return one | {"chemical_symbols": [*symbols, VACANCY], "concentration": [*shares, vacant]}


_FEATURES = case(
    (Structure.is_ordered, cast(array([], type_=Text), ARRAY(Text))),
    else_=cast(array(["disorder"]), ARRAY(Text)),
)
_HAS_CELL = Structure.lattice_a.is_not(None)

_STANDARD = by_name(
    _standard("immutable_id", Kind.IDENTIFIER, Structure.id),
    _standard("last_modified", Kind.TIMESTAMP, Structure.updated_at),
    _standard(
        "elements",
        Kind.LIST,
        Structure.elements,
        item=Kind.STRING,
        length=Structure.number_of_elements,
        only=partial(criteria.only, Structure),
    ),
    _standard("nelements", Kind.INTEGER, Structure.number_of_elements),
    _standard(
        "elements_ratios",
        Kind.LIST,
        Structure.elements_ratios,
        item=Kind.FLOAT,
        length=func.cardinality(Structure.elements_ratios),
    ),
    _standard("chemical_formula_descriptive", Kind.STRING, Structure.reduced_formula),
    _standard("chemical_formula_reduced", Kind.STRING, Structure.reduced_formula),
    _standard(
        "chemical_formula_hill",
        Kind.STRING,
        case((Structure.is_ordered, Material.hill_formula)),
        indexed=Material.hill_formula,
        unknown=not_(Structure.is_ordered),
    ),
    _standard("chemical_formula_anonymous", Kind.STRING, Structure.anonymous_formula),
    _standard(
        "dimension_types",
        Kind.LIST,
        Structure.dimension_types,
        item=Kind.INTEGER,
        length=literal(3),
    ),
    _standard("nperiodic_dimensions", Kind.INTEGER, Structure.number_of_periodic_dimensions),
    _standard(
        "lattice_vectors",
        Kind.LIST,
        Structure.lattice_a,
        length=case((_HAS_CELL, 3)),
        unknown=and_(Structure.number_of_periodic_dimensions == 0, ~_HAS_CELL),
    ),
    _standard("space_group_symmetry_operations_xyz", Kind.LIST, item=Kind.STRING),
    _standard("space_group_symbol_hall", Kind.STRING),
    _standard("space_group_symbol_hermann_mauguin", Kind.STRING),
    _standard("space_group_symbol_hermann_mauguin_extended", Kind.STRING),
    _standard("space_group_it_number", Kind.INTEGER, Structure.space_group_number_at_0_1),
    _standard(
        "cartesian_site_positions",
        Kind.LIST,
        Structure.positions_a,
        length=Structure.number_of_sites,
    ),
    _standard("nsites", Kind.INTEGER, Structure.number_of_sites),
    _standard(
        "species",
        Kind.LIST,
        Structure.species,
        length=func.jsonb_array_length(Structure.species),
        show=species,
    ),
    _standard(
        "species_at_sites",
        Kind.LIST,
        Structure.species_at_sites,
        item=Kind.STRING,
        length=Structure.number_of_sites,
    ),
    _standard("assemblies", Kind.LIST),
    _standard(
        "structure_features",
        Kind.LIST,
        _FEATURES,
        item=Kind.STRING,
        length=case((Structure.is_ordered, 0), else_=1),
    ),
)

_OWN: tuple[Property, ...] = (
    Property("name", Kind.STRING, Structure.name, "The structure's name in its source."),
    Property(
        "chemical_system",
        Kind.STRING,
        Structure.chemical_system,
        "Elements in alphabetical order, joined by hyphens, such as Cl-Na.",
    ),
    Property(
        "is_ordered", Kind.BOOLEAN, Structure.is_ordered, "Every site holds one element, fully."
    ),
    Property("volume", Kind.FLOAT, Structure.volume_a3, "Volume of the cell.", "Å^3"),
    Property("density", Kind.FLOAT, Structure.density_g_per_cm3, "Mass density.", "g/cm^3"),
    Property(
        "space_group_number_at_0_01",
        Kind.INTEGER,
        Structure.space_group_number_at_0_01,
        "Number of the space group found within 0.01 Å.",
    ),
    Property(
        "space_group_symbol_at_0_01",
        Kind.STRING,
        Structure.space_group_symbol_at_0_01,
        "Hermann-Mauguin symbol, in the standard setting, of the space group found within 0.01 Å.",
    ),
    Property(
        "space_group_number_at_0_1",
        Kind.INTEGER,
        Structure.space_group_number_at_0_1,
        "Number of the space group found within 0.1 Å.",
    ),
    Property(
        "space_group_symbol_at_0_1",
        Kind.STRING,
        Structure.space_group_symbol_at_0_1,
        "Hermann-Mauguin symbol, in the standard setting, of the space group found within 0.1 Å.",
    ),
    Property(
        "symmetry_engine",
        Kind.STRING,
        Structure.symmetry_engine,
        "Program and version that found the space groups.",
    ),
    Property(
        "protostructure",
        Kind.STRING,
        Structure.protostructure,
        "Anonymous formula, Pearson symbol, space group, Wyckoff letters and elements.",
    ),
    *(
        Property(
            f"cell_{name}",
            Kind.FLOAT,
            column,
            f"{name} of the conventional cell found within 0.1 Å.",
            unit,
        )
        for name, column, unit in (
            ("a", Structure.cell_a_a, "Å"),
            ("b", Structure.cell_b_a, "Å"),
            ("c", Structure.cell_c_a, "Å"),
            ("alpha", Structure.cell_alpha_deg, "deg"),
            ("beta", Structure.cell_beta_deg, "deg"),
            ("gamma", Structure.cell_gamma_deg, "deg"),
        )
    ),
    Property(
        "fingerprint",
        Kind.STRING,
        Structure.fingerprint,
        "sha256 of the canonical exact content: equal structures have equal ones.",
    ),
    Property("source", Kind.STRING, Structure.source, "Collection that it came from."),
    Property(
        "external_id", Kind.STRING, Structure.external_id, "Its identifier in that collection."
    ),
    Property(
        "license", Kind.STRING, Structure.licence, "SPDX identifier, or name, of its licence."
    ),
)


def _entry_properties() -> dict[str, Property]:
    return by_name(
        Property("id", Kind.IDENTIFIER, Structure.id, "The entry's identifier."),
        Property("type", Kind.STRING, literal("structures", Text), "Always structures."),
    )


_HIDDEN = by_name(
    Property(
        "references.id",
        Kind.LIST,
        case(
            (Structure.citation_id.is_(None), cast(array([], type_=Text), ARRAY(Text))),
            else_=array([cast(Structure.citation_id, Text)]),
        ),
        item=Kind.STRING,
        length=case((Structure.citation_id.is_(None), 0), else_=1),
    ),
)


@lru_cache(maxsize=4)
def entries(prefix: str) -> Entries:
    """Return the entries; what the standard does not know has the provider's prefix."""
    own = (
        Property(f"_{prefix}_{one.name}", one.kind, one.sql, one.description, one.unit)
        for one in _OWN
    )
    return Entries(
        type="structures",
        description="Crystals, slabs, wires and molecules.",
        source=Structure,
        prefix=prefix,
        properties=_entry_properties() | _STANDARD | by_name(*own),
        hidden=_HIDDEN,
    )
