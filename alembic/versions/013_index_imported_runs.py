"""Index imported runs and what they are searched by.

The unique index is what makes importing a run twice the same as once. An interrupted build leaves
an INVALID index: each is dropped first, so the revision can be run again.

Revision ID: 013_index_imported_runs
Revises: 012_energies_of_imported_runs
Create Date: 2026-11-29 22:32:00.000000
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "013_index_imported_runs"
down_revision: str | Sequence[str] | None = "012_energies_of_imported_runs"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

INDEXES: dict[str, tuple[str, list[str], dict[str, Any]]] = {
    "uq_simulation_jobs_source": (
        "simulation_jobs",
        ["owner_id", "source_sha256", "source_place"],
        {"unique": True, "postgresql_where": sa.text("origin = 'imported'")},
    ),
    "ix_simulation_jobs_continues_id": ("simulation_jobs", ["continues_id"], {}),
    "ix_simulation_results_free_energy_ev": ("simulation_results", ["free_energy_ev"], {}),
    "ix_simulation_results_energy_without_entropy_ev": (
        "simulation_results",
        ["energy_without_entropy_ev"],
        {},
    ),
    "ix_simulation_results_band_gap_ev": ("simulation_results", ["band_gap_ev"], {}),
    "ix_simulation_results_total_magnetization_mu_b": (
        "simulation_results",
        ["total_magnetization_mu_b"],
        {},
    ),
}


def upgrade() -> None:
    """Build the indexes while others read and write."""
    with op.get_context().autocommit_block():
        for name, (table, columns, how) in INDEXES.items():
            op.drop_index(name, if_exists=True, postgresql_concurrently=True)
            op.create_index(name, table, columns, postgresql_concurrently=True, **how)


def downgrade() -> None:
    """Drop the indexes."""
    with op.get_context().autocommit_block():
        for name in reversed(INDEXES):
            op.drop_index(name, if_exists=True, postgresql_concurrently=True)
