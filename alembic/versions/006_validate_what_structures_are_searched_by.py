"""Validate the constraints of what structures are searched by.

003 made them for new rows; this reads the rows from before while others read and
write.

Revision ID: 006_validate_what_structures_are_searched_by
Revises: 005_index_what_structures_are_searched_by
Create Date: 2026-11-27 22:04:24.385800
"""

from collections.abc import Sequence

from alembic import op

revision: str = "006_validate_what_structures_are_searched_by"
down_revision: str | Sequence[str] | None = "005_index_what_structures_are_searched_by"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

CONSTRAINTS = (
    "ck_structures_elements_ratios",
    "ck_structures_number_of_elements",
    "ck_structures_periodic",
    "fk_structures_citation_id_citations",
)


def upgrade() -> None:
    """Check the rows from before the constraints."""
    for name in CONSTRAINTS:
        op.execute(f"ALTER TABLE structures VALIDATE CONSTRAINT {name}")


def downgrade() -> None:
    """Make them anew as 003 did, for new rows only; no row is read."""
    checks = {
        "ck_structures_elements_ratios": "cardinality(elements_ratios) = cardinality(elements)",
        "ck_structures_number_of_elements": "number_of_elements = cardinality(elements)",
        "ck_structures_periodic": "number_of_periodic_dimensions BETWEEN 0 AND 3",
    }
    for name, condition in checks.items():
        op.drop_constraint(op.f(name), "structures", type_="check")
        op.create_check_constraint(op.f(name), "structures", condition, postgresql_not_valid=True)
    op.drop_constraint(
        op.f("fk_structures_citation_id_citations"), "structures", type_="foreignkey"
    )
    op.create_foreign_key(
        op.f("fk_structures_citation_id_citations"),
        "structures",
        "citations",
        ["citation_id"],
        ["id"],
        ondelete="RESTRICT",
        postgresql_not_valid=True,
    )
