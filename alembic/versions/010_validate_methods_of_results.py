"""Validate that results have a method that is there, while others read and write.

Revision ID: 010_validate_methods_of_results
Revises: 009_let_results_refer_to_methods
Create Date: 2026-11-29 21:50:00.000000
"""

from collections.abc import Sequence

from alembic import op

revision: str = "010_validate_methods_of_results"
down_revision: str | Sequence[str] | None = "009_let_results_refer_to_methods"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

KEY = "fk_simulation_results_method_sha256_methods"


def upgrade() -> None:
    """Check the rows from before the key."""
    op.execute(f"ALTER TABLE simulation_results VALIDATE CONSTRAINT {KEY}")


def downgrade() -> None:
    """Make it anew as 009 did, for new rows only; no row is read."""
    op.drop_constraint(op.f(KEY), "simulation_results", type_="foreignkey")
    op.create_foreign_key(
        op.f(KEY),
        "simulation_results",
        "methods",
        ["method_sha256"],
        ["sha256"],
        ondelete="RESTRICT",
        postgresql_not_valid=True,
    )
