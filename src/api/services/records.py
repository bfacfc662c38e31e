"""Structures as what writers take: all that is known of each, a batch at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.models import Structure
from api.schemas.search import Query
from api.services import search, structures
from nanoos.writers import FIELDS, Record

_COLUMNS = {name for name, _, _ in FIELDS} & set(Structure.__mapper__.columns.keys())
_FROM_MATERIAL = ("reduced_formula", "anonymous_formula", "hill_formula", "chemical_system")


def record(row: Structure) -> Record:
    """Return a structure, with its material, as what writers take."""
    known = {name: getattr(row, name) for name in _COLUMNS}
    known |= {name: getattr(row.material, name) for name in _FROM_MATERIAL}
    known |= {"id": str(row.id), "parent_id": row.parent_id and str(row.parent_id)}
    return Record(structures.to_atoms(row), row.extra, known)


async def named(session: AsyncSession, ids: Sequence[UUID]) -> AsyncIterator[list[Record]]:
    """Yield the structures of these ids in their order; raises NotFound before the first."""
    yield [record(row) for row in await structures.get(session, ids)]


async def stream(
    session: AsyncSession, query: Query, *, batch: int = 500
) -> AsyncIterator[list[Record]]:
    """Yield all that the query finds, ``batch`` at a time."""
    async for rows in search.stream(session, query, batch=batch):
        yield [record(row) for row in rows]
