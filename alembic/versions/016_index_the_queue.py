"""Index the queue by owner and engine, and what waits for a time.

Owners get their jobs claimed in turn, of whom nothing was started for longest first, by workers that
may have some engines only; jobs that killed workers are claimed by themselves. An interrupted build leaves an INVALID index: each is dropped
first, so the revision can be run again.

Revision ID: 016_index_the_queue
Revises: 015_columns_of_the_queue
Create Date: 2026-11-30 01:31:00.000000
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "016_index_the_queue"
down_revision: str | Sequence[str] | None = "015_columns_of_the_queue"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

INDEXES: dict[str, tuple[list[str], str | None]] = {
    "ix_simulation_jobs_owner_id_started_at": (["owner_id", "started_at"], None),
    "ix_simulation_jobs_share": (
        ["owner_id", "engine", "due_at", "id"],
        "status = 'queued' AND origin = 'submitted' AND worker_deaths < 3",
    ),
    "ix_simulation_jobs_alone": (
        ["due_at", "id"],
        "status = 'queued' AND origin = 'submitted' AND worker_deaths >= 3",
    ),
    "ix_simulation_jobs_not_before": (["not_before"], "status = 'waiting'"),
}
REPLACED = "ix_simulation_jobs_owner_id"


def upgrade() -> None:
    """Build the indexes while others read and write."""
    with op.get_context().autocommit_block():
        for name, (columns, condition) in INDEXES.items():
            op.drop_index(name, if_exists=True, postgresql_concurrently=True)
            op.create_index(
                name,
                "simulation_jobs",
                columns,
                postgresql_concurrently=True,
                postgresql_where=None if condition is None else sa.text(condition),
            )
        op.drop_index(REPLACED, if_exists=True, postgresql_concurrently=True)


def downgrade() -> None:
    """Drop the indexes, and build the one that was replaced."""
    with op.get_context().autocommit_block():
        op.drop_index(REPLACED, if_exists=True, postgresql_concurrently=True)
        op.create_index(REPLACED, "simulation_jobs", ["owner_id"], postgresql_concurrently=True)
        for name in reversed(INDEXES):
            op.drop_index(name, if_exists=True, postgresql_concurrently=True)
