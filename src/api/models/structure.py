"""Structures: where the atoms are, exactly as they came, and what follows from that."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, SmallInteger, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship

from api.models.base import (
    EMPTY_OBJECT,
    VISIBILITIES,
    Base,
    FloatArray,
    Identified,
    Owned,
    Updated,
    finite,
    one_of,
)
from api.models.material import Material

INVARIANTS = {
    "at each site stands one of the structure's species": """
        SELECT id FROM structures WHERE EXISTS (
            SELECT FROM unnest(species_at_sites) AS site
            WHERE NOT species @> jsonb_build_array(jsonb_build_object('name', site)))
    """,
}
HOT_QUERIES = {
    "structures of a formula": """
        SELECT structures.id FROM structures
        JOIN materials ON materials.id = material_id WHERE reduced_formula = 'ClNa'
    """,
}
ORIGINS = ("upload", "relaxed", "snapshot")


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
    number_of_sites: Mapped[int] = mapped_column(index=True)
    is_ordered: Mapped[bool] = mapped_column(comment="Every site holds one element, fully")
    volume_a3: Mapped[float | None] = mapped_column(comment="Volume of the cell, in Å³")
    density_g_per_cm3: Mapped[float | None] = mapped_column(comment="Mass density, in g/cm³")
    space_group_number_at_0_01: Mapped[int | None] = mapped_column(
        SmallInteger, comment="International number at a tolerance of 0.01 Å"
    )
    space_group_symbol_at_0_01: Mapped[str | None] = mapped_column(comment="Hermann–Mauguin")
    space_group_number_at_0_1: Mapped[int | None] = mapped_column(
        SmallInteger, index=True, comment="International number at a tolerance of 0.1 Å"
    )
    space_group_symbol_at_0_1: Mapped[str | None] = mapped_column(comment="Hermann–Mauguin")
    symmetry_engine: Mapped[str | None] = mapped_column(
        comment="Program and version that found the space groups"
    )
    fingerprint: Mapped[str] = mapped_column(comment="sha256 of the canonical exact content")
    fingerprint_version: Mapped[int] = mapped_column(SmallInteger)
    origin: Mapped[str] = mapped_column(server_default="upload")
    parent_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("structures.id", ondelete="RESTRICT"),
        index=True,
        comment="What it was relaxed from, or is a snapshot of",
    )
    source_text: Mapped[str | None] = mapped_column(comment="The source as it came")
    source_format: Mapped[str | None]
    source_name: Mapped[str | None] = mapped_column(comment="File name, without its folder")
    source_sha256: Mapped[str | None] = mapped_column(index=True)
    extra: Mapped[dict[str, Any]] = mapped_column(
        server_default=EMPTY_OBJECT, comment="Citation and whatever else the source said"
    )

    material: Mapped[Material] = relationship(lazy="raise")
