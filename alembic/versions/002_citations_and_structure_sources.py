"""Citations, and every file that a structure was found in.

citations holds each publication once, for OPTIMADE's references and for the
bibliography of an export. structure_sources has one row for each place in a
file that holds a structure, so that a file found again is known without being
read again, and duplicates can be shown.

Revision ID: 002_citations_and_structure_sources
Revises: 001_initial_schema
Create Date: 2026-11-27 22:04:24.385800
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "002_citations_and_structure_sources"
down_revision: str | Sequence[str] | None = "001_initial_schema"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "citations",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False, comment="sha256 of the citation as jsonb"),
        sa.Column(
            "authors",
            postgresql.ARRAY(sa.Text()),
            server_default=sa.text("'{}'::text[]"),
            nullable=False,
        ),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("journal", sa.Text(), nullable=True),
        sa.Column("volume", sa.Text(), nullable=True),
        sa.Column("page_first", sa.Text(), nullable=True),
        sa.Column("page_last", sa.Text(), nullable=True),
        sa.Column("year", sa.Integer(), nullable=True),
        sa.Column("doi", sa.Text(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("length(digest) = 64", name=op.f("ck_citations_digest")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_citations")),
        sa.UniqueConstraint("digest", name=op.f("uq_citations_digest")),
        comment="Publications that structures come from",
    )
    op.create_table(
        "structure_sources",
        sa.Column("structure_id", sa.Uuid(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False, comment="Of the file"),
        sa.Column(
            "place",
            sa.Integer(),
            nullable=False,
            comment="Which of the file's structures it is, from 1",
        ),
        sa.Column(
            "name",
            sa.Text(),
            nullable=False,
            comment="The file's name, with that of the archive or folder it was in",
        ),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column(
            "is_last",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="The file holds no structure after it",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("length(sha256) = 64", name=op.f("ck_structure_sources_sha256")),
        sa.CheckConstraint("place >= 1", name=op.f("ck_structure_sources_place")),
        sa.ForeignKeyConstraint(
            ["structure_id"],
            ["structures.id"],
            name=op.f("fk_structure_sources_structure_id_structures"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "structure_id", "sha256", "place", "name", name=op.f("pk_structure_sources")
        ),
        comment="Files that structures were found in",
    )
    op.create_index(
        op.f("ix_structure_sources_sha256"), "structure_sources", ["sha256"], unique=False
    )


def downgrade() -> None:
    """Drop both."""
    op.drop_index(op.f("ix_structure_sources_sha256"), table_name="structure_sources")
    op.drop_table("structure_sources")
    op.drop_table("citations")
