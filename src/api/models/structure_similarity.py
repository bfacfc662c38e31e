"""Structure similarities: precomputed distances between pairs of structures."""

from __future__ import annotations

import uuid

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from api.models.base import Base, Created

HOT_QUERIES = {
    "neighbours computed before": """
        SELECT structure_a_id FROM structure_similarities
        WHERE structure_b_id = '00000000-0000-0000-0000-000000000000'
          AND model = 'soap' AND model_version = '1'
    """,
}


class StructureSimilarity(Created, Base):
    """The distance of two structures in one model's space; a pair is stored once, a < b."""

    __tablename__ = "structure_similarities"
    __table_args__ = (
        CheckConstraint("structure_a_id < structure_b_id", name="ordered_pair"),
        CheckConstraint("distance >= 0", name="distance"),
        Index(None, "structure_b_id", "model", "model_version"),
        {
            "comment": "Precomputed structure similarities",
            "info": {"hot_queries": HOT_QUERIES},
        },
    )

    structure_a_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("structures.id", ondelete="CASCADE"), primary_key=True
    )
    structure_b_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("structures.id", ondelete="CASCADE"), primary_key=True
    )
    model: Mapped[str] = mapped_column(primary_key=True)
    model_version: Mapped[str] = mapped_column(primary_key=True)
    distance: Mapped[float] = mapped_column(comment="In the model's own metric")
