"""Drop the index of a file's hash in structures, and leave what has no parent out of its index.

Which file a structure stands in is asked of ``structure_sources`` since 002, and few structures
have a parent: both indexes cost every import, and 100 MB at a million structures. The new index
of parents is there before the old one goes. An interrupted build leaves an INVALID index: each is
dropped first, so the revision can be run again.

Revision ID: 021_drop_an_index_that_nobody_asks
Revises: 020_indexes_that_say_who_may_read
Create Date: 2026-11-30 20:05:00.000000
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "021_drop_an_index_that_nobody_asks"
down_revision: str | Sequence[str] | None = "020_indexes_that_say_who_may_read"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

OF_PARENTS = "ix_structures_parent_id"
OF_CHILDREN = "ix_structures_child_of"
OF_FILES = "ix_structures_source_sha256"


def upgrade() -> None:
    """Build the smaller index while others read and write, and drop both old ones."""
    with op.get_context().autocommit_block():
        _build(OF_CHILDREN, "parent_id", where="parent_id IS NOT NULL")
        _drop(OF_PARENTS)
        _drop(OF_FILES)


def downgrade() -> None:
    """Build the old indexes, and drop the new."""
    with op.get_context().autocommit_block():
        _build(OF_FILES, "source_sha256")
        _build(OF_PARENTS, "parent_id")
        _drop(OF_CHILDREN)


def _build(name: str, column: str, where: str | None = None) -> None:
    _drop(name)
    op.create_index(
        op.f(name),
        "structures",
        [column],
        postgresql_concurrently=True,
        postgresql_where=None if where is None else sa.text(where),
    )


def _drop(name: str) -> None:
    op.drop_index(op.f(name), if_exists=True, postgresql_concurrently=True)
