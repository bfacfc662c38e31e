"""What structures are searched by, in their own columns.

Elements, formulas and chemical system are the material's, repeated so that one
table answers a search; conventional cell and protostructure are new. All may be
NULL: releases from before know nothing of them, and go on inserting rows. Rows of
an analysis_version that is not the present one are analysed again by
`nano-os structures reanalyse`. Source, licence, citation and tags belong to a
structure. The constraints hold for new rows; 006 validates them.

Revision ID: 003_columns_that_structures_are_searched_by
Revises: 002_citations_and_structure_sources
Create Date: 2026-11-27 22:04:24.385800
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "003_columns_that_structures_are_searched_by"
down_revision: str | Sequence[str] | None = "002_citations_and_structure_sources"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

CHECKS = {
    "ck_structures_elements_ratios": "cardinality(elements_ratios) = cardinality(elements)",
    "ck_structures_number_of_elements": "number_of_elements = cardinality(elements)",
    "ck_structures_periodic": "number_of_periodic_dimensions BETWEEN 0 AND 3",
}


def upgrade() -> None:
    """Add the columns and, not validated, their constraints."""
    op.add_column(
        "structures",
        sa.Column(
            "elements",
            postgresql.ARRAY(sa.Text()),
            nullable=True,
            comment="In alphabetical order; the material's",
        ),
    )
    op.add_column(
        "structures",
        sa.Column(
            "elements_ratios",
            postgresql.ARRAY(sa.DOUBLE_PRECISION()),
            nullable=True,
            comment="OPTIMADE: share of each element among the atoms",
        ),
    )
    op.add_column("structures", sa.Column("number_of_elements", sa.SmallInteger(), nullable=True))
    op.add_column(
        "structures",
        sa.Column("chemical_system", sa.Text(), nullable=True, comment="The material's"),
    )
    op.add_column(
        "structures",
        sa.Column("reduced_formula", sa.Text(), nullable=True, comment="OPTIMADE; the material's"),
    )
    op.add_column(
        "structures",
        sa.Column(
            "anonymous_formula", sa.Text(), nullable=True, comment="OPTIMADE; the material's"
        ),
    )
    op.add_column(
        "structures",
        sa.Column(
            "number_of_periodic_dimensions",
            sa.SmallInteger(),
            nullable=True,
            comment="OPTIMADE: sum of dimension_types",
        ),
    )
    op.add_column(
        "structures",
        sa.Column(
            "cell_a_a", sa.Double(), nullable=True, comment="Conventional cell at 0.1 Å: a, in Å"
        ),
    )
    op.add_column(
        "structures",
        sa.Column(
            "cell_b_a", sa.Double(), nullable=True, comment="Conventional cell at 0.1 Å: b, in Å"
        ),
    )
    op.add_column(
        "structures",
        sa.Column(
            "cell_c_a", sa.Double(), nullable=True, comment="Conventional cell at 0.1 Å: c, in Å"
        ),
    )
    op.add_column(
        "structures",
        sa.Column("cell_alpha_deg", sa.Double(), nullable=True, comment="Its alpha, in degrees"),
    )
    op.add_column(
        "structures",
        sa.Column("cell_beta_deg", sa.Double(), nullable=True, comment="Its beta, in degrees"),
    )
    op.add_column(
        "structures",
        sa.Column("cell_gamma_deg", sa.Double(), nullable=True, comment="Its gamma, in degrees"),
    )
    op.add_column(
        "structures",
        sa.Column(
            "protostructure",
            sa.Text(),
            nullable=True,
            comment="Anonymous formula, Pearson symbol, space group, Wyckoff letters and elements",
        ),
    )
    op.add_column(
        "structures",
        sa.Column(
            "analysis_version",
            sa.SmallInteger(),
            server_default=sa.text("1"),
            nullable=False,
            comment="Of the program that derived the columns; rows of an older one are analysed again",
        ),
    )
    op.add_column(
        "structures",
        sa.Column(
            "source", sa.Text(), nullable=True, comment="Collection it came from, such as AMCSD"
        ),
    )
    op.add_column(
        "structures",
        sa.Column(
            "external_id", sa.Text(), nullable=True, comment="Its identifier in that collection"
        ),
    )
    op.add_column(
        "structures",
        sa.Column(
            "licence",
            sa.Text(),
            nullable=True,
            comment="SPDX identifier, or the licence's name; needed to be public",
        ),
    )
    op.add_column("structures", sa.Column("citation_id", sa.Uuid(), nullable=True))
    op.add_column(
        "structures",
        sa.Column(
            "tags",
            postgresql.ARRAY(sa.Text()),
            server_default=sa.text("'{}'::text[]"),
            nullable=False,
        ),
    )
    for name, condition in CHECKS.items():
        op.create_check_constraint(op.f(name), "structures", condition, postgresql_not_valid=True)
    op.create_foreign_key(
        op.f("fk_structures_citation_id_citations"),
        "structures",
        "citations",
        ["citation_id"],
        ["id"],
        ondelete="RESTRICT",
        postgresql_not_valid=True,
    )


def downgrade() -> None:
    """Drop the columns; the constraints go with them."""
    op.drop_column("structures", "tags")
    op.drop_column("structures", "citation_id")
    op.drop_column("structures", "licence")
    op.drop_column("structures", "external_id")
    op.drop_column("structures", "source")
    op.drop_column("structures", "analysis_version")
    op.drop_column("structures", "protostructure")
    op.drop_column("structures", "cell_gamma_deg")
    op.drop_column("structures", "cell_beta_deg")
    op.drop_column("structures", "cell_alpha_deg")
    op.drop_column("structures", "cell_c_a")
    op.drop_column("structures", "cell_b_a")
    op.drop_column("structures", "cell_a_a")
    op.drop_column("structures", "number_of_periodic_dimensions")
    op.drop_column("structures", "anonymous_formula")
    op.drop_column("structures", "reduced_formula")
    op.drop_column("structures", "chemical_system")
    op.drop_column("structures", "number_of_elements")
    op.drop_column("structures", "elements_ratios")
    op.drop_column("structures", "elements")
