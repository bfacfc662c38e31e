"""Validate the constraints of what jobs ask of the queue.

015 made them for new rows; this reads the rows from before while others read and write.

Revision ID: 017_validate_the_queue
Revises: 016_index_the_queue
Create Date: 2026-11-30 01:32:00.000000
"""

from collections.abc import Sequence

from alembic import op

revision: str = "017_validate_the_queue"
down_revision: str | Sequence[str] | None = "016_index_the_queue"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

CHECKS = {
    "ck_simulation_jobs_repetition": "repetition >= 0",
    "ck_simulation_jobs_max_attempts": "max_attempts >= 1",
    "ck_simulation_jobs_failures": "failures >= 0",
    "ck_simulation_jobs_worker_deaths": "worker_deaths >= 0",
    "ck_simulation_jobs_wall_time_limit_s": "wall_time_limit_s >= 1",
    "ck_simulation_jobs_memory_limit_mb": "memory_limit_mb >= 1",
}


def upgrade() -> None:
    """Check the rows from before the constraints."""
    for name in CHECKS:
        op.execute(f"ALTER TABLE simulation_jobs VALIDATE CONSTRAINT {name}")


def downgrade() -> None:
    """Make them anew as 015 did, for new rows only; no row is read."""
    for name, condition in CHECKS.items():
        op.drop_constraint(op.f(name), "simulation_jobs", type_="check")
        op.create_check_constraint(
            op.f(name), "simulation_jobs", condition, postgresql_not_valid=True
        )
