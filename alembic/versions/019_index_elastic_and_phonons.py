"""Index moduli and phonon frequencies, so that structures are searched by them.

An interrupted build leaves an INVALID index: each is dropped first, so the revision can be run again.

Revision ID: 019_index_elastic_and_phonons
Revises: 018_elastic_and_phonon_quantities
Create Date: 2026-11-30 02:33:30.000000
"""

from collections.abc import Sequence

from alembic import op

revision: str = "019_index_elastic_and_phonons"
down_revision: str | Sequence[str] | None = "018_elastic_and_phonon_quantities"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

COLUMNS = (
    "shear_modulus_gpa",
    "youngs_modulus_gpa",
    "poisson_ratio",
    "universal_anisotropy",
    "min_frequency_thz",
    "zero_point_energy_ev_per_atom",
)


def upgrade() -> None:
    """Build the indexes while others read and write."""
    with op.get_context().autocommit_block():
        for column in COLUMNS:
            name = op.f(f"ix_simulation_results_{column}")
            op.drop_index(name, if_exists=True, postgresql_concurrently=True)
            op.create_index(name, "simulation_results", [column], postgresql_concurrently=True)


def downgrade() -> None:
    """Drop the indexes."""
    with op.get_context().autocommit_block():
        for column in reversed(COLUMNS):
            name = op.f(f"ix_simulation_results_{column}")
            op.drop_index(name, if_exists=True, postgresql_concurrently=True)
