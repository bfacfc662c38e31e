"""Index what structures are searched by.

One index for each filter, built one after another while others read and write.
Formulas and labels serve equal values in order of id, and beginnings whatever the
locale. An interrupted build leaves an INVALID index: each is dropped first, so the
revision can be run again.

Revision ID: 005_index_what_structures_are_searched_by
Revises: 004_fill_what_structures_are_searched_by
Create Date: 2026-11-27 22:04:24.385800
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "005_index_what_structures_are_searched_by"
down_revision: str | Sequence[str] | None = "004_fill_what_structures_are_searched_by"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

WORDS = (
    "to_tsvector('simple'::regconfig, (((((COALESCE(name, ''::text) || ' '::text)"
    " || COALESCE(source_name, ''::text)) || ' '::text) || COALESCE(source, ''::text))"
    " || ' '::text) || COALESCE(external_id, ''::text))"
)
CITATION_WORDS = (
    "to_tsvector('simple'::regconfig, ((((((((((((((((((((COALESCE(title, ''::text)"
    " || ' '::text) || COALESCE(journal, ''::text)) || ' '::text) || COALESCE(doi, ''::text))"
    " || ' '::text) || COALESCE(authors[1], ''::text)) || ' '::text)"
    " || COALESCE(authors[2], ''::text)) || ' '::text) || COALESCE(authors[3], ''::text))"
    " || ' '::text) || COALESCE(authors[4], ''::text)) || ' '::text)"
    " || COALESCE(authors[5], ''::text)) || ' '::text) || COALESCE(authors[6], ''::text))"
    " || ' '::text) || COALESCE(authors[7], ''::text)) || ' '::text)"
    " || COALESCE(authors[8], ''::text)))"
)
SORTED = (
    "cell_a_a",
    "cell_b_a",
    "cell_c_a",
    "cell_alpha_deg",
    "cell_beta_deg",
    "cell_gamma_deg",
    "volume_a3",
    "density_g_per_cm3",
    "number_of_elements",
    "number_of_sites",
    "space_group_number_at_0_01",
    "space_group_number_at_0_1",
    "source",
    "licence",
    "created_at",
    "updated_at",
)
LABELS = ("chemical_system", "reduced_formula", "anonymous_formula", "protostructure")
QUANTITIES = (
    "energy_ev",
    "energy_ev_per_atom",
    "max_force_ev_per_a",
    "pressure_gpa",
    "volume_a3",
    "volume_a3_per_atom",
    "bulk_modulus_gpa",
    "bulk_modulus_derivative",
)
PUBLICLY_ASKED = (
    "reduced_formula",
    "anonymous_formula",
    "number_of_elements",
    "number_of_sites",
    "number_of_periodic_dimensions",
    "is_ordered",
    "space_group_number_at_0_1",
)
# By the name that the columns lead to: table, columns, and how.
INDEXES: dict[str, tuple[str, list[Any], dict[str, Any]]] = {
    **{f"ix_structures_{column}_id": ("structures", [column, "id"], {}) for column in SORTED},
    **{
        f"ix_structures_{column}_id": (
            "structures",
            [column, "id"],
            {"postgresql_ops": {column: "text_pattern_ops"}},
        )
        for column in LABELS
    },
    **{f"ix_simulation_results_{name}": ("simulation_results", [name], {}) for name in QUANTITIES},
    "ix_structures_analysis_version": ("structures", ["analysis_version"], {}),
    "ix_structures_citation_id": ("structures", ["citation_id"], {}),
    "ix_structures_disordered": (
        "structures",
        ["id"],
        {"postgresql_where": sa.text("NOT is_ordered")},
    ),
    "ix_structures_elements": ("structures", ["elements"], {"postgresql_using": "gin"}),
    "ix_structures_external_id": ("structures", ["external_id"], {}),
    "ix_structures_not_crystals": (
        "structures",
        ["number_of_periodic_dimensions", "id"],
        {"postgresql_where": sa.text("number_of_periodic_dimensions < 3")},
    ),
    "ix_structures_public": (
        "structures",
        ["id"],
        {
            "postgresql_include": PUBLICLY_ASKED,
            "postgresql_where": sa.text("visibility = 'public'"),
        },
    ),
    "ix_structures_tags": ("structures", ["tags"], {"postgresql_using": "gin"}),
    "ix_structures_words": (
        "structures",
        [sa.literal_column(WORDS)],
        {"postgresql_using": "gin"},
    ),
    "ix_citations_words": (
        "citations",
        [sa.literal_column(CITATION_WORDS)],
        {"postgresql_using": "gin"},
    ),
}
# Of 001, and contained in those with the id.
SUPERSEDED = ("number_of_sites", "space_group_number_at_0_1")


def upgrade() -> None:
    """Build the indexes while others read and write."""
    with op.get_context().autocommit_block():
        for name, (table, columns, how) in INDEXES.items():
            op.drop_index(name, if_exists=True, postgresql_concurrently=True)
            op.create_index(name, table, columns, postgresql_concurrently=True, **how)
        for column in SUPERSEDED:
            op.drop_index(f"ix_structures_{column}", if_exists=True, postgresql_concurrently=True)
        op.execute(sa.text("ANALYZE structures, citations, simulation_results"))


def downgrade() -> None:
    """Drop the indexes."""
    with op.get_context().autocommit_block():
        for column in SUPERSEDED:
            name = f"ix_structures_{column}"
            op.drop_index(name, if_exists=True, postgresql_concurrently=True)
            op.create_index(name, "structures", [column], postgresql_concurrently=True)
        for name in reversed(INDEXES):
            op.drop_index(name, if_exists=True, postgresql_concurrently=True)
