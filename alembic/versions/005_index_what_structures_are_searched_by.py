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
INDEXES: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "ix_structures_analysis_version": (["analysis_version"], {}),
    "ix_structures_anonymous_formula_id": (
        ["anonymous_formula", "id"],
        {"postgresql_ops": {"anonymous_formula": "text_pattern_ops"}},
    ),
    "ix_structures_cell_a_a": (["cell_a_a"], {}),
    "ix_structures_cell_alpha_deg": (["cell_alpha_deg"], {}),
    "ix_structures_cell_b_a": (["cell_b_a"], {}),
    "ix_structures_cell_beta_deg": (["cell_beta_deg"], {}),
    "ix_structures_cell_c_a": (["cell_c_a"], {}),
    "ix_structures_cell_gamma_deg": (["cell_gamma_deg"], {}),
    "ix_structures_chemical_system_id": (
        ["chemical_system", "id"],
        {"postgresql_ops": {"chemical_system": "text_pattern_ops"}},
    ),
    "ix_structures_citation_id": (["citation_id"], {}),
    "ix_structures_density_g_per_cm3": (["density_g_per_cm3"], {}),
    "ix_structures_disordered": (["id"], {"postgresql_where": sa.text("NOT is_ordered")}),
    "ix_structures_elements": (["elements"], {"postgresql_using": "gin"}),
    "ix_structures_not_crystals": (
        ["number_of_periodic_dimensions", "id"],
        {"postgresql_where": sa.text("number_of_periodic_dimensions < 3")},
    ),
    "ix_structures_number_of_elements": (["number_of_elements"], {}),
    "ix_structures_protostructure_id": (
        ["protostructure", "id"],
        {"postgresql_ops": {"protostructure": "text_pattern_ops"}},
    ),
    "ix_structures_public": (["id"], {"postgresql_where": sa.text("visibility = 'public'")}),
    "ix_structures_reduced_formula_id": (
        ["reduced_formula", "id"],
        {"postgresql_ops": {"reduced_formula": "text_pattern_ops"}},
    ),
    "ix_structures_source_external_id": (["source", "external_id"], {}),
    "ix_structures_tags": (["tags"], {"postgresql_using": "gin"}),
    "ix_structures_updated_at": (["updated_at"], {}),
    "ix_structures_volume_a3": (["volume_a3"], {}),
    "ix_structures_words": (
        [sa.literal_column(WORDS)],
        {"postgresql_using": "gin"},
    ),
}


def upgrade() -> None:
    """Build the indexes while others read and write."""
    with op.get_context().autocommit_block():
        for name, (columns, how) in INDEXES.items():
            op.drop_index(name, if_exists=True, postgresql_concurrently=True)
            op.create_index(name, "structures", columns, postgresql_concurrently=True, **how)
        op.execute(sa.text("ANALYZE structures"))


def downgrade() -> None:
    """Drop the indexes."""
    with op.get_context().autocommit_block():
        for name in reversed(INDEXES):
            op.drop_index(name, if_exists=True, postgresql_concurrently=True)
