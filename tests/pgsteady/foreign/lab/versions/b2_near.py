"""The other branch: an index that is built without blocking writers."""

from alembic import op

revision = "b2"
down_revision = "a1"


def upgrade():
    with op.get_context().autocommit_block():
        op.create_index(
            "sample_near",
            "sample",
            ["embedding"],
            postgresql_using="hnsw",
            postgresql_ops={"embedding": "vector_l2_ops"},
            postgresql_with={"m": 8, "ef_construction": 32},
            postgresql_concurrently=True,
        )


def downgrade():
    op.drop_index("sample_near")
