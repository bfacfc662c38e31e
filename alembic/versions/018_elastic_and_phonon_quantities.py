"""Moduli and phonon frequencies as columns of results.

Revision ID: 018_elastic_and_phonon_quantities
Revises: 017_validate_the_queue
Create Date: 2026-11-30 02:33:00.000000
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "018_elastic_and_phonon_quantities"
down_revision: str | Sequence[str] | None = "017_validate_the_queue"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

COMMENTS = {
    "shear_modulus_gpa": "Hill's average, in GPa",
    "youngs_modulus_gpa": "Of Hill's averages, in GPa",
    "poisson_ratio": "Of Hill's averages, dimensionless",
    "universal_anisotropy": "5 G(Voigt)/G(Reuss) + K(Voigt)/K(Reuss) - 6, 0 for an isotropic crystal",
    "min_frequency_thz": "Lowest of the phonons, in THz; negative where it is imaginary",
    "zero_point_energy_ev_per_atom": "Of the phonons, in eV per atom",
}


def upgrade() -> None:
    """Add the columns, which takes a moment: rows have NULL there."""
    for name, comment in COMMENTS.items():
        op.add_column("simulation_results", sa.Column(name, sa.Double(), comment=comment))


def downgrade() -> None:
    """Drop the columns; what they hold is lost."""
    for name in reversed(COMMENTS):
        op.drop_column("simulation_results", name)
