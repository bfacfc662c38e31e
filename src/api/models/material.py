"""Materials: what a set of structures has in common."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, Index, SmallInteger, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from api.models.base import (
    EMPTY_OBJECT,
    EMPTY_TEXT_ARRAY,
    VISIBILITIES,
    Base,
    Identified,
    Owned,
    Updated,
    one_of,
)

INVARIANTS = {
    "a chemical system is of the material's elements": """
        SELECT id FROM materials WHERE chemical_system <> array_to_string(elements, '-')
    """,
}
HOT_QUERIES = {
    "materials of these elements": "SELECT id FROM materials WHERE elements @> '{Cl,Na}'",
}


class Material(Identified, Owned, Updated, Base):
    """A composition in one space group; polymorphs are different materials.

    Crystals are told apart by formula unit and space group, slabs and wires by
    formula unit, molecules by their whole formula; ``hill_formula`` holds what
    applies, so one constraint serves all.
    """

    __tablename__ = "materials"
    __table_args__ = (
        UniqueConstraint(
            "scope_key",
            "hill_formula",
            "space_group_number",
            postgresql_nulls_not_distinct=True,
        ),
        one_of("visibility", VISIBILITIES),
        CheckConstraint("space_group_number BETWEEN 1 AND 230", name="space_group_number"),
        CheckConstraint("cardinality(elements) >= 1", name="elements"),
        Index(None, "elements", postgresql_using="gin"),
        Index(None, "tags", postgresql_using="gin"),
        {
            "comment": "Material metadata",
            "info": {"invariants": INVARIANTS, "hot_queries": HOT_QUERIES},
        },
    )

    name: Mapped[str | None] = mapped_column(comment="As people call it, such as Halite")
    reduced_formula: Mapped[str] = mapped_column(
        index=True, comment="OPTIMADE: elements in alphabetical order, smallest integers"
    )
    anonymous_formula: Mapped[str] = mapped_column(index=True, comment="OPTIMADE: such as A2B")
    hill_formula: Mapped[str] = mapped_column(
        comment="Hill order; of the formula unit, for molecules of the whole"
    )
    chemical_system: Mapped[str] = mapped_column(
        index=True, comment="Elements in alphabetical order, joined by -"
    )
    elements: Mapped[list[str]] = mapped_column(comment="In alphabetical order")
    space_group_number: Mapped[int | None] = mapped_column(
        SmallInteger, comment="At a tolerance of 0.1 Å; NULL where not periodic in 3 directions"
    )
    tags: Mapped[list[str]] = mapped_column(server_default=EMPTY_TEXT_ARRAY)
    source: Mapped[str | None] = mapped_column(comment="Collection or publication it came from")
    external_id: Mapped[str | None] = mapped_column(comment="Its identifier in that source")
    extra: Mapped[dict[str, Any]] = mapped_column(server_default=EMPTY_OBJECT)
