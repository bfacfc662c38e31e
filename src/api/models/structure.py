"""Structures: where the atoms are, exactly as they came, and what follows from that."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship

from api.models.base import (
    EMPTY_OBJECT,
    EMPTY_TEXT_ARRAY,
    VISIBILITIES,
    Base,
    FloatArray,
    Identified,
    Owned,
    Updated,
    finite,
    one_of,
)
from api.models.citation import Citation
from api.models.material import Material

INVARIANTS = {
    "at each site stands one of the structure's species": """
        SELECT id FROM structures WHERE EXISTS (
            SELECT FROM unnest(species_at_sites) AS site
            WHERE NOT species @> jsonb_build_array(jsonb_build_object('name', site)))
    """,
    "what is searched by is that of the material": """
        SELECT structures.id FROM structures JOIN materials ON materials.id = material_id
        WHERE structures.elements <> materials.elements
           OR structures.chemical_system <> materials.chemical_system
           OR structures.reduced_formula <> materials.reduced_formula
           OR structures.anonymous_formula <> materials.anonymous_formula
    """,
}
HOT_QUERIES = {
    "structures of a formula": """
        SELECT structures.id FROM structures
        JOIN materials ON materials.id = material_id WHERE materials.reduced_formula = 'ClNa'
    """,
    "how many structures anyone may read of a system": """
        SELECT count(*) FROM structures
        WHERE chemical_system = 'Cl-Na' AND visibility = 'public'
    """,
}
ORIGINS = ("upload", "relaxed", "snapshot")
CELL = ("cell_a_a", "cell_b_a", "cell_c_a", "cell_alpha_deg", "cell_beta_deg", "cell_gamma_deg")
"""The conventional cell's columns, in this order."""
SORTED = (
    *CELL,
    "volume_a3",
    "density_g_per_cm3",
    "number_of_elements",
    "number_of_sites",
    "space_group_number_at_0_01",
    "space_group_number_at_0_1",
    "source",
    "licence",
    "created_at",
    "updated_at",
)
"""Columns that are sorted by as PostgreSQL compares their values."""
LABELS = ("chemical_system", "reduced_formula", "anonymous_formula", "protostructure")
"""Those that are sorted by byte, and found by how they begin, whatever the locale."""
COMPOSITION = {"number_of_elements", "chemical_system", "anonymous_formula", "protostructure"}
"""What goes together with the formula, so that it is sorted by that too."""
WORDS = (
    "to_tsvector('simple'::regconfig, (((((COALESCE(name, ''::text) || ' '::text)"
    " || COALESCE(source_name, ''::text)) || ' '::text) || COALESCE(source, ''::text))"
    " || ' '::text) || COALESCE(external_id, ''::text))"
)
"""What a search for text looks into, written as PostgreSQL writes its index."""

PUBLICLY_ASKED = (
    "reduced_formula",
    "anonymous_formula",
    "number_of_elements",
    "number_of_sites",
    "number_of_periodic_dimensions",
    "is_ordered",
    "space_group_number_at_0_1",
)
"""What the index of public structures answers by itself; the rows are 20 times as large."""


def _by(column: str, where: str | None = None) -> Index:
    """Return an index for values in order, equal ones in that of id.

    It says who may read the row, so that rows are counted without being read.
    """
    formula = ["reduced_formula"] if column in COMPOSITION else []
    return Index(
        f"ix_structures_by_{column}",
        column,
        "id",
        postgresql_ops={column: "text_pattern_ops"} if column in LABELS else {},
        postgresql_include=["visibility", "owner_id", *formula],
        postgresql_where=None if where is None else text(where),
    )


class Structure(Identified, Owned, Updated, Base):
    """One arrangement of atoms of a material; unique in its scope by ``fingerprint``."""

    __tablename__ = "structures"
    __table_args__ = (
        UniqueConstraint("scope_key", "fingerprint"),
        one_of("visibility", VISIBILITIES),
        one_of("origin", ORIGINS),
        CheckConstraint("(origin = 'upload') = (parent_id IS NULL)", name="parent"),
        CheckConstraint("length(fingerprint) = 64", name="fingerprint"),
        CheckConstraint("number_of_sites >= 1", name="number_of_sites"),
        CheckConstraint(
            "cardinality(positions_a) = 3 * number_of_sites"
            " AND array_length(positions_a, 1) = number_of_sites"
            f" AND {finite('positions_a')}",
            name="positions_a",
        ),
        CheckConstraint(
            "lattice_a IS NULL OR cardinality(lattice_a) = 9 AND array_length(lattice_a, 1) = 3"
            f" AND {finite('lattice_a')}",
            name="lattice_a",
        ),
        CheckConstraint("cardinality(species_at_sites) = number_of_sites", name="species_at_sites"),
        CheckConstraint(
            "cardinality(dimension_types) = 3 AND dimension_types <@ '{0,1}'::smallint[]",
            name="dimension_types",
        ),
        CheckConstraint(
            "lattice_a IS NOT NULL OR dimension_types = '{0,0,0}'::smallint[]", name="lattice_given"
        ),
        CheckConstraint("volume_a3 > 0 AND volume_a3 < 'Infinity'", name="volume_a3"),
        CheckConstraint(
            "density_g_per_cm3 > 0 AND density_g_per_cm3 < 'Infinity'", name="density_g_per_cm3"
        ),
        CheckConstraint(
            "space_group_number_at_0_01 BETWEEN 1 AND 230"
            " AND space_group_number_at_0_1 BETWEEN 1 AND 230",
            name="space_group_numbers",
        ),
        CheckConstraint("number_of_elements = cardinality(elements)", name="number_of_elements"),
        CheckConstraint(
            "cardinality(elements_ratios) = cardinality(elements)", name="elements_ratios"
        ),
        CheckConstraint("number_of_periodic_dimensions BETWEEN 0 AND 3", name="periodic"),
        Index(None, "elements", postgresql_using="gin"),
        Index(None, "tags", postgresql_using="gin"),
        Index("ix_structures_words", text(WORDS), postgresql_using="gin"),
        Index(None, "external_id"),
        Index(
            "ix_structures_public",
            "id",
            postgresql_include=PUBLICLY_ASKED,
            postgresql_where=text("visibility = 'public'"),
        ),
        Index(
            "ix_structures_child_of", "parent_id", postgresql_where=text("parent_id IS NOT NULL")
        ),
        Index("ix_structures_disordered", "id", postgresql_where=text("NOT is_ordered")),
        _by("number_of_periodic_dimensions", where="number_of_periodic_dimensions < 3"),
        *(_by(column) for column in (*SORTED, *LABELS)),
        Index("ix_structures_analysis_version", "analysis_version"),
        {
            "comment": "Atomic structure data",
            "info": {"invariants": INVARIANTS, "hot_queries": HOT_QUERIES},
        },
    )

    material_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("materials.id", ondelete="RESTRICT"), index=True
    )
    name: Mapped[str | None] = mapped_column(comment="As the source calls it")
    lattice_a: Mapped[list[list[float]] | None] = mapped_column(
        FloatArray, comment="3 × 3 lattice vectors as rows, in Å; NULL for a molecule with no cell"
    )
    positions_a: Mapped[list[list[float]]] = mapped_column(
        FloatArray, comment="n × 3 Cartesian positions, in Å"
    )
    species: Mapped[list[dict[str, Any]]] = mapped_column(
        comment="OPTIMADE species: name, chemical_symbols, concentration (occupancies)"
    )
    species_at_sites: Mapped[list[str]] = mapped_column(comment="Name of the species of each site")
    dimension_types: Mapped[list[int]] = mapped_column(
        ARRAY(SmallInteger), comment="OPTIMADE: 1 where the lattice direction repeats, else 0"
    )
    number_of_sites: Mapped[int]
    elements: Mapped[list[str] | None] = mapped_column(
        ARRAY(Text), comment="In alphabetical order; the material's"
    )
    elements_ratios: Mapped[list[float] | None] = mapped_column(
        FloatArray, comment="OPTIMADE: share of each element among the atoms"
    )
    number_of_elements: Mapped[int | None] = mapped_column(SmallInteger)
    chemical_system: Mapped[str | None] = mapped_column(comment="The material's")
    reduced_formula: Mapped[str | None] = mapped_column(comment="OPTIMADE; the material's")
    anonymous_formula: Mapped[str | None] = mapped_column(comment="OPTIMADE; the material's")
    number_of_periodic_dimensions: Mapped[int | None] = mapped_column(
        SmallInteger, comment="OPTIMADE: sum of dimension_types"
    )
    is_ordered: Mapped[bool] = mapped_column(comment="Every site holds one element, fully")
    volume_a3: Mapped[float | None] = mapped_column(comment="Volume of the cell, in Å³")
    density_g_per_cm3: Mapped[float | None] = mapped_column(comment="Mass density, in g/cm³")
    space_group_number_at_0_01: Mapped[int | None] = mapped_column(
        SmallInteger, comment="International number at a tolerance of 0.01 Å"
    )
    space_group_symbol_at_0_01: Mapped[str | None] = mapped_column(comment="Hermann–Mauguin")
    space_group_number_at_0_1: Mapped[int | None] = mapped_column(
        SmallInteger, comment="International number at a tolerance of 0.1 Å"
    )
    space_group_symbol_at_0_1: Mapped[str | None] = mapped_column(comment="Hermann–Mauguin")
    cell_a_a: Mapped[float | None] = mapped_column(comment="Conventional cell at 0.1 Å: a, in Å")
    cell_b_a: Mapped[float | None] = mapped_column(comment="Conventional cell at 0.1 Å: b, in Å")
    cell_c_a: Mapped[float | None] = mapped_column(comment="Conventional cell at 0.1 Å: c, in Å")
    cell_alpha_deg: Mapped[float | None] = mapped_column(comment="Its alpha, in degrees")
    cell_beta_deg: Mapped[float | None] = mapped_column(comment="Its beta, in degrees")
    cell_gamma_deg: Mapped[float | None] = mapped_column(comment="Its gamma, in degrees")
    protostructure: Mapped[str | None] = mapped_column(
        comment="Anonymous formula, Pearson symbol, space group, Wyckoff letters and elements"
    )
    symmetry_engine: Mapped[str | None] = mapped_column(
        comment="Program and version that found the space groups"
    )
    fingerprint: Mapped[str] = mapped_column(comment="sha256 of the canonical exact content")
    fingerprint_version: Mapped[int] = mapped_column(SmallInteger)
    analysis_version: Mapped[int] = mapped_column(
        SmallInteger,
        server_default=text("1"),
        comment="Of the program that derived the columns; rows of an older one are analysed again",
    )
    origin: Mapped[str] = mapped_column(server_default="upload")
    parent_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("structures.id", ondelete="RESTRICT"),
        comment="What it was relaxed from, or is a snapshot of",
    )
    source_text: Mapped[str | None] = mapped_column(comment="The source as it came")
    source_format: Mapped[str | None]
    source_name: Mapped[str | None] = mapped_column(comment="File name, without its folder")
    source_sha256: Mapped[str | None]
    source: Mapped[str | None] = mapped_column(comment="Collection it came from, such as AMCSD")
    external_id: Mapped[str | None] = mapped_column(comment="Its identifier in that collection")
    licence: Mapped[str | None] = mapped_column(
        comment="SPDX identifier, or the licence's name; needed to be public"
    )
    citation_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("citations.id", ondelete="RESTRICT"), index=True
    )
    tags: Mapped[list[str]] = mapped_column(server_default=EMPTY_TEXT_ARRAY)
    extra: Mapped[dict[str, Any]] = mapped_column(
        server_default=EMPTY_OBJECT, comment="Citation and whatever else the source said"
    )

    material: Mapped[Material] = relationship(lazy="raise")
    citation: Mapped[Citation | None] = relationship(lazy="raise")
