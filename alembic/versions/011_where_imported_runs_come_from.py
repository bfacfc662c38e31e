"""Where imported runs come from, what they are for, and which run each continues.

A run is known by the contents of its files; 013 makes that unique. All columns may be NULL:
submitted jobs have no source, and releases from before know nothing of them. The constraints hold
for new rows; 014 validates them.

Revision ID: 011_where_imported_runs_come_from
Revises: 010_validate_methods_of_results
Create Date: 2026-11-29 22:30:00.000000
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "011_where_imported_runs_come_from"
down_revision: str | Sequence[str] | None = "010_validate_methods_of_results"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

CHECKS = {
    "ck_simulation_jobs_source_sha256": "length(source_sha256) = 64",
    "ck_simulation_jobs_source_place": "source_place >= 1",
}


def upgrade() -> None:
    """Add the columns and, not validated, their constraints."""
    for column in (
        sa.Column("project", sa.Text(), comment="What the run was for, as its owner says"),
        sa.Column(
            "source_name",
            sa.Text(),
            comment="Of an imported run: its folder or file, with the folder or archive around it",
        ),
        sa.Column(
            "source_sha256",
            sa.Text(),
            comment="Of an imported run: over the contents of its files",
        ),
        sa.Column(
            "source_place",
            sa.Integer(),
            comment="Which of the runs in these files it is, from 1",
        ),
        sa.Column("source_is_last", sa.Boolean(), comment="The files hold no run after it"),
        sa.Column(
            "continues_id",
            sa.Uuid(),
            comment="The run that left the geometry with which this one began, by the same method",
        ),
    ):
        op.add_column("simulation_jobs", column)
    for name, condition in CHECKS.items():
        op.create_check_constraint(
            op.f(name), "simulation_jobs", condition, postgresql_not_valid=True
        )
    op.create_foreign_key(
        op.f("fk_simulation_jobs_continues_id_simulation_jobs"),
        "simulation_jobs",
        "simulation_jobs",
        ["continues_id"],
        ["id"],
        ondelete="SET NULL",
        postgresql_not_valid=True,
    )


def downgrade() -> None:
    """Drop the columns; the constraints go with them."""
    for name in (
        "continues_id",
        "source_is_last",
        "source_place",
        "source_sha256",
        "source_name",
        "project",
    ):
        op.drop_column("simulation_jobs", name)
