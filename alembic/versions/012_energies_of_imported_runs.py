"""Each energy under its own name, band gap, magnetization, and the cores a calculation ran on.

Revision ID: 012_energies_of_imported_runs
Revises: 011_where_imported_runs_come_from
Create Date: 2026-11-29 22:31:00.000000
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "012_energies_of_imported_runs"
down_revision: str | Sequence[str] | None = "011_where_imported_runs_come_from"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Add the columns and, not validated, their constraint."""
    for column in (
        sa.Column(
            "free_energy_ev",
            sa.Double(),
            comment="Mermin's: energy minus TS of the electrons, in eV",
        ),
        sa.Column(
            "energy_without_entropy_ev",
            sa.Double(),
            comment="Internal energy: free energy plus TS of the electrons, in eV",
        ),
        sa.Column("band_gap_ev", sa.Double(), comment="In eV, 0 for a metal"),
        sa.Column(
            "total_magnetization_mu_b", sa.Double(), comment="Of the cell, in Bohr magnetons"
        ),
        sa.Column(
            "n_cores",
            sa.Integer(),
            comment="Cores it ran on; times wall_time_s that is its cost",
        ),
    ):
        op.add_column("simulation_results", column)
    op.create_check_constraint(
        op.f("ck_simulation_results_n_cores"),
        "simulation_results",
        "n_cores >= 1",
        postgresql_not_valid=True,
    )


def downgrade() -> None:
    """Drop the columns; the constraint goes with them."""
    for name in (
        "n_cores",
        "total_magnetization_mu_b",
        "band_gap_ev",
        "energy_without_entropy_ev",
        "free_energy_ev",
    ):
        op.drop_column("simulation_results", name)
