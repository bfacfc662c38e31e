"""Samples; the extension is an administrator's business."""

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import Vector
from sqlalchemy.dialects.postgresql import ARRAY

revision = "a1"
down_revision = None


def upgrade():
    op.create_table(
        "sample",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("phases", ARRAY(sa.Enum("solid", "liquid", name="phase")), nullable=False),
        sa.Column(
            "taken_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.Column("embedding", Vector(3), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("label", name="label_is_unique"),
    )


def downgrade():
    op.drop_table("sample")
    op.execute("DROP TYPE phase")
