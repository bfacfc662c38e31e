"""Let the indexes of what structures are searched by say who may read each.

So that what is found is counted from the index alone: to look up in a row of 1.5 kB who owns it
costs ten times as much. Those of composition hold the formula too, by which lists are sorted. Each
takes the place of one without, which is dropped when the new one is there; nothing is searched
without an index meanwhile. An interrupted build leaves an INVALID index: each is dropped first, so
the revision can be run again.

Revision ID: 020_indexes_that_say_who_may_read
Revises: 019_index_elastic_and_phonons
Create Date: 2026-11-30 05:50:00.000000
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "020_indexes_that_say_who_may_read"
down_revision: str | Sequence[str] | None = "019_index_elastic_and_phonons"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

VALUES = (
    "cell_a_a",
    "cell_b_a",
    "cell_c_a",
    "cell_alpha_deg",
    "cell_beta_deg",
    "cell_gamma_deg",
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
NOT_CRYSTALS = "number_of_periodic_dimensions"
LABELS = ("chemical_system", "reduced_formula", "anonymous_formula", "protostructure")
SAID = ("visibility", "owner_id")
WITH_FORMULA = ("number_of_elements", "chemical_system", "anonymous_formula", "protostructure")


def upgrade() -> None:
    """Build the new indexes while others read and write, and drop the old."""
    with op.get_context().autocommit_block():
        for column in (*VALUES, *LABELS):
            formula = ("reduced_formula",) if column in WITH_FORMULA else ()
            _build(f"ix_structures_by_{column}", column, (*SAID, *formula))
            _drop(f"ix_structures_{column}_id")
        _build(f"ix_structures_by_{NOT_CRYSTALS}", NOT_CRYSTALS, SAID, f"{NOT_CRYSTALS} < 3")
        _drop("ix_structures_not_crystals")


def downgrade() -> None:
    """Build the old indexes, and drop the new."""
    with op.get_context().autocommit_block():
        _build("ix_structures_not_crystals", NOT_CRYSTALS, where=f"{NOT_CRYSTALS} < 3")
        _drop(f"ix_structures_by_{NOT_CRYSTALS}")
        for column in reversed((*VALUES, *LABELS)):
            _build(f"ix_structures_{column}_id", column)
            _drop(f"ix_structures_by_{column}")


def _build(name: str, column: str, said: Sequence[str] = (), where: str | None = None) -> None:
    _drop(name)
    op.create_index(
        op.f(name),
        "structures",
        [column, "id"],
        postgresql_concurrently=True,
        postgresql_ops={column: "text_pattern_ops"} if column in LABELS else {},
        postgresql_include=said,
        postgresql_where=None if where is None else sa.text(where),
    )


def _drop(name: str) -> None:
    op.drop_index(op.f(name), if_exists=True, postgresql_concurrently=True)
