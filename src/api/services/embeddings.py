"""Embeddings: structures as vectors, their indexes, and who is near whom.

One partial HNSW index per model and version over ``vector_embeddings``. Queries
write model, version and dimension as literals, for only then does the planner
see that the partial expression index applies.
"""

# ruff: noqa: S608 - Space lets only plain names and numbers through

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from pgvector.sqlalchemy import VECTOR
from sqlalchemy import ColumnElement, Double, cast, exists, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from api.errors import NotFound, WrongUsage
from api.models import Material, Structure, VectorEmbedding
from api.models.vector_embedding import HNSW_INDEX_PREFIX
from api.schemas.structure import Neighbour
from api.services import structures
from nanoos import plugins
from nanoos.embedders import Embedder

DEFAULT_MODEL = "soap"
NEIGHBOURS = 10
"""How many neighbours of each structure are kept in ``structure_similarities``."""
EF_SEARCH = 100
"""pgvector's hnsw.ef_search: recall@10 above 0.99 on 100,000 vectors (docs/measured.md)."""
POLL_S = 0.1
"""Seconds between two looks whether another process has made an index."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,17}")
"""So long that an index's name fits PostgreSQL's 63 bytes."""
_OPERATORS = {"l2": ("<->", "vector_l2_ops"), "cosine": ("<=>", "vector_cosine_ops")}


@dataclass(frozen=True, slots=True)
class Space:
    """The space of one version of one model, safe to be written into SQL."""

    model: str
    version: str
    dimension: int
    metric: str

    def __post_init__(self) -> None:
        if not (_NAME.fullmatch(self.model) and _NAME.fullmatch(self.version)):
            raise WrongUsage(
                f"{self.model} {self.version}: a model's name and version are short"
                " and of letters, digits, '_', '.' and '-'."
            )

    @property
    def index(self) -> str:
        """Name of its index."""
        return f"{HNSW_INDEX_PREFIX}{self.model}__{self.version}"

    @property
    def operator(self) -> str:
        """pgvector's distance operator."""
        return _OPERATORS[self.metric][0]

    @property
    def operator_class(self) -> str:
        """pgvector's operator class for the index."""
        return _OPERATORS[self.metric][1]

    def vector(self, table: str) -> str:
        """SQL of the indexed expression of ``table``."""
        return f"{table}.embedding::vector({self.dimension})"

    def where(self, table: str) -> str:
        """SQL that keeps the rows of ``table`` that the index covers."""
        return f"{table}.model = '{self.model}' AND {table}.model_version = '{self.version}'"


def embedder(model: str = DEFAULT_MODEL) -> Embedder:
    """Return the embedder of that name, or raise PluginNotFound."""
    found: Embedder = plugins.get("nanoos.embedders", model)()
    return found


def space(model: Embedder) -> Space:
    """Return the space of an embedder."""
    return Space(model.name, model.version, model.dimension, model.metric)


async def missing(session: AsyncSession, where: Space) -> list[UUID]:
    """Return the ids of the structures in view that have no embedding in that space."""
    has_one = exists().where(
        VectorEmbedding.structure_id == Structure.id,
        VectorEmbedding.model == where.model,
        VectorEmbedding.model_version == where.version,
    )
    return list(await session.scalars(select(Structure.id).where(~has_one).order_by(Structure.id)))


async def embed(
    session: AsyncSession, model: Embedder, ids: Sequence[UUID]
) -> list[tuple[UUID, str]]:
    """Embed these structures and store the vectors; return those that failed, and why."""
    rows = await structures.get(session, ids)
    embedded = model.embed([structures.to_atoms(row) for row in rows])
    found = [
        {
            "structure_id": row.id,
            "model": model.name,
            "model_version": model.version,
            "dimension": model.dimension,
            "embedding": vector,
        }
        for place, (row, vector) in enumerate(zip(rows, embedded.vectors, strict=True))
        if place not in embedded.failures
    ]
    if found:
        await session.execute(insert(VectorEmbedding).on_conflict_do_nothing(), found)
    return [(rows[place].id, str(error)) for place, error in embedded.failures.items()]


async def create_index(session: AsyncSession, where: Space) -> None:
    """Make the space's HNSW index where it is missing or invalid.

    Built CONCURRENTLY, so that writers go on meanwhile, and therefore outside of
    transactions: ``session`` is switched to autocommit and is of no further use.
    """
    connection = await session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
    one_builder = func.hashtext(where.index)
    # Polled: a build waits for whoever has a snapshot, which one that waits for a lock has.
    while not await connection.scalar(select(func.pg_try_advisory_lock(one_builder))):
        await asyncio.sleep(POLL_S)
    try:
        await _create_index(connection, where)
    finally:
        await connection.execute(select(func.pg_advisory_unlock(one_builder)))


async def _create_index(connection: AsyncConnection, where: Space) -> None:
    valid = await connection.scalar(
        text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"),
        {"name": f'"{where.index}"'},
    )
    if valid:
        return
    if valid is False:
        await connection.execute(text(f'DROP INDEX CONCURRENTLY "{where.index}"'))
    await connection.execute(
        text(
            f'CREATE INDEX CONCURRENTLY "{where.index}"'
            f" ON vector_embeddings USING hnsw (({where.vector('vector_embeddings')})"
            f" {where.operator_class}) WHERE {where.where('vector_embeddings')}"
        )
    )


async def renew_similarities(session: AsyncSession, where: Space) -> int:
    """Store anew each structure's nearest neighbours in its own scope; return the pairs.

    A neighbour is public or of the same owner, so no pair tells one owner of
    another's structure.
    """
    await _search_widely(session)
    # One at a time: none sees, and all would insert, the pairs of the others.
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"pairs {where}"))))
    await session.execute(text(f"DELETE FROM structure_similarities AS s WHERE {where.where('s')}"))
    result = await session.execute(
        text(f"""
        INSERT INTO structure_similarities
            (structure_a_id, structure_b_id, model, model_version, distance)
        SELECT least(mine.structure_id, near.structure_id),
               greatest(mine.structure_id, near.structure_id),
               '{where.model}', '{where.version}', min(near.distance)
        FROM vector_embeddings AS mine
        JOIN structures AS me ON me.id = mine.structure_id
        CROSS JOIN LATERAL (
            SELECT theirs.structure_id,
                   {where.vector("theirs")} {where.operator} {where.vector("mine")} AS distance
            FROM vector_embeddings AS theirs
            JOIN structures AS it ON it.id = theirs.structure_id
            WHERE {where.where("theirs")} AND theirs.structure_id <> mine.structure_id
              AND (it.visibility = 'public'
                   OR me.visibility = 'private' AND it.owner_id = me.owner_id)
            ORDER BY distance
            LIMIT {NEIGHBOURS}) AS near
        WHERE {where.where("mine")}
        GROUP BY 1, 2
        RETURNING 1
    """)
    )
    return len(result.all())


async def nearest(
    session: AsyncSession, structure_id: UUID, where: Space, k: int = NEIGHBOURS
) -> list[Neighbour]:
    """Return the ``k`` structures in view nearest to one, the nearest first.

    Raises NotFound where the structure is not in view or has no embedding yet.
    """
    await structures.get(session, [structure_id])
    await _search_widely(session)
    in_space = text(where.where("vector_embeddings"))
    own = await session.scalar(
        select(VectorEmbedding.embedding).where(
            VectorEmbedding.structure_id == structure_id, in_space
        )
    )
    if own is None:
        raise NotFound(
            f"Structure {structure_id} has no {where.model} embedding: run `nano-os embed run`"
            " (a model may not take every structure)."
        )
    type_ = VECTOR(where.dimension)
    distance: ColumnElement[float] = cast(VectorEmbedding.embedding, type_).op(
        where.operator, return_type=Double()
    )(cast(own, type_))
    rows = await session.execute(
        select(
            Structure.id,
            Structure.name,
            Material.reduced_formula,
            Structure.space_group_symbol_at_0_1,
            distance.label("distance"),
        )
        .select_from(VectorEmbedding)
        .join(Structure, Structure.id == VectorEmbedding.structure_id)
        .join(Structure.material)
        .where(in_space, Structure.id != structure_id)
        .order_by(distance)
        .limit(k)
    )
    return [Neighbour.model_validate(row, from_attributes=True) for row in rows]


async def _search_widely(session: AsyncSession) -> None:
    """Let the index yield rows until a filter is satisfied, in exact order of distance."""
    await session.execute(
        select(
            func.set_config("hnsw.iterative_scan", "strict_order", True),
            func.set_config("hnsw.ef_search", str(EF_SEARCH), True),
        )
    )
