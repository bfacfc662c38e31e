"""Vector embeddings: structures as points in a model's space."""

from __future__ import annotations

import uuid
from typing import Any

from pgvector.sqlalchemy import VECTOR
from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from api.models.base import Base, Created, Identified

HNSW_INDEX_PREFIX = "ix_vector_embeddings_hnsw__"
"""Indexes of this prefix are made when a model is first used, one per model and version."""

INVARIANTS = {
    "vectors of one model and version have one dimension": """
        SELECT model, model_version FROM vector_embeddings
        GROUP BY 1, 2 HAVING count(DISTINCT dimension) > 1
    """,
}
HOT_QUERIES = {
    "nearest neighbours": """
        SELECT structure_id FROM vector_embeddings WHERE model = 'soap' AND model_version = '1'
        ORDER BY embedding::vector(258) <-> array_fill(0.1::real, ARRAY[258])::vector(258) LIMIT 10
    """,
}


class VectorEmbedding(Identified, Created, Base):
    """One structure as seen by one version of one model."""

    __tablename__ = "vector_embeddings"
    __table_args__ = (
        UniqueConstraint("structure_id", "model", "model_version"),
        CheckConstraint("vector_dims(embedding) = dimension", name="dimension"),
        {
            "comment": "ML embeddings for similarity search",
            "info": {"invariants": INVARIANTS, "hot_queries": HOT_QUERIES},
        },
    )

    structure_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("structures.id", ondelete="CASCADE"))
    model: Mapped[str]
    model_version: Mapped[str]
    dimension: Mapped[int]
    embedding: Mapped[Any] = mapped_column(
        VECTOR(), comment="Of any dimension; each model and version has its own partial index"
    )
