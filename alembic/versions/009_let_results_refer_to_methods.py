"""Let results refer to methods; the index of the column is there since 001.

The key holds for new rows; 010 validates it for those from before.

Revision ID: 009_let_results_refer_to_methods
Revises: 008_fill_methods
Create Date: 2026-11-29 21:50:00.000000
"""

from collections.abc import Sequence

from alembic import op

revision: str = "009_let_results_refer_to_methods"
down_revision: str | Sequence[str] | None = "008_fill_methods"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

KEY = "fk_simulation_results_method_sha256_methods"


def upgrade() -> None:
    """Let new results have a method that is there."""
    op.create_foreign_key(
        op.f(KEY),
        "simulation_results",
        "methods",
        ["method_sha256"],
        ["sha256"],
        ondelete="RESTRICT",
        postgresql_not_valid=True,
    )


def downgrade() -> None:
    """Drop the key."""
    op.drop_constraint(op.f(KEY), "simulation_results", type_="foreignkey")
