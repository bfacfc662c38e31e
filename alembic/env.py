"""Alembic's environment: what is compared, and where the database is. pgsteady does the rest."""

from alembic import context

from api.embedded import join
from api.models import Base
from pgsteady import env

env.run(
    context,
    Base.metadata,
    fallback_url=join,
    foreign_index_prefixes=(
        "ix_vector_embeddings_hnsw__",  # one per model in use
        "ix_structures_contains",  # where the server has pg_trgm: docs/search.md
    ),
)
