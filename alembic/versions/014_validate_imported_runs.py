"""Validate the constraints of imported runs.

011 and 012 made them for new rows; this reads the rows from before while others read and write.

Revision ID: 014_validate_imported_runs
Revises: 013_index_imported_runs
Create Date: 2026-11-29 22:33:00.000000
"""

from collections.abc import Sequence

from alembic import op

revision: str = "014_validate_imported_runs"
down_revision: str | Sequence[str] | None = "013_index_imported_runs"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

CHECKS = {
    "ck_simulation_jobs_source_sha256": ("simulation_jobs", "length(source_sha256) = 64"),
    "ck_simulation_jobs_source_place": ("simulation_jobs", "source_place >= 1"),
    "ck_simulation_results_n_cores": ("simulation_results", "n_cores >= 1"),
}
CONTINUES = "fk_simulation_jobs_continues_id_simulation_jobs"


def upgrade() -> None:
    """Check the rows from before the constraints."""
    for name, (table, _) in CHECKS.items():
        op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")
    op.execute(f"ALTER TABLE simulation_jobs VALIDATE CONSTRAINT {CONTINUES}")


def downgrade() -> None:
    """Make them anew as 011 and 012 did, for new rows only; no row is read."""
    for name, (table, condition) in CHECKS.items():
        op.drop_constraint(op.f(name), table, type_="check")
        op.create_check_constraint(op.f(name), table, condition, postgresql_not_valid=True)
    op.drop_constraint(op.f(CONTINUES), "simulation_jobs", type_="foreignkey")
    op.create_foreign_key(
        op.f(CONTINUES),
        "simulation_jobs",
        "simulation_jobs",
        ["continues_id"],
        ["id"],
        ondelete="SET NULL",
        postgresql_not_valid=True,
    )
