"""Structures as what writers take: all that is known of each, a batch at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from api.models import Citation, Structure
from api.schemas.search import Query
from api.services import search, structures
from nanoos.writers import FIELDS, Record

_COLUMNS = {name for name, _, _ in FIELDS} & set(Structure.__mapper__.columns.keys())
_CITATION = ("authors", "title", "journal", "volume", "page_first", "page_last", "year", "doi")
_FROM_MATERIAL = ("reduced_formula", "anonymous_formula", "hill_formula", "chemical_system")


async def named(session: AsyncSession, ids: Sequence[UUID]) -> AsyncIterator[list[Record]]:
    """Yield the structures of these ids in their order; raises NotFound before the first."""
    yield await of_rows(session, await structures.get(session, ids))


async def present(session: AsyncSession, ids: Sequence[UUID]) -> list[Record]:
    """Return the structures of these ids in their order, without those deleted meanwhile."""
    found = await structures.present(session, ids)
    return await of_rows(session, [found[id_] for id_ in ids if id_ in found])


async def stream(
    session: AsyncSession, query: Query, *, batch: int = 500
) -> AsyncIterator[list[Record]]:
    """Yield all that the query finds, ``batch`` at a time."""
    async for rows in search.stream(session, query, batch=batch):
        yield await of_rows(session, rows)


async def of_rows(session: AsyncSession, rows: Sequence[Structure]) -> list[Record]:
    """Return structures, with their materials, as what writers take."""
    wanted = {row.citation_id for row in rows if row.citation_id}
    citations: dict[UUID | None, dict[str, Any]] = {}
    if wanted:
        found = await session.scalars(select(Citation).where(Citation.id.in_(wanted)))
        citations |= {one.id: _citation(one) for one in found}
    return [_record(row, citations.get(row.citation_id)) for row in rows]


def _citation(row: Citation) -> dict[str, Any]:
    stated = {name: getattr(row, name) for name in _CITATION}
    return {name: value for name, value in stated.items() if value}


def _record(row: Structure, citation: dict[str, Any] | None) -> Record:
    known = {name: getattr(row, name) for name in _COLUMNS}
    known |= {name: getattr(row.material, name) for name in _FROM_MATERIAL}
    known |= {"id": str(row.id), "parent_id": row.parent_id and str(row.parent_id)}
    known["citation_id"] = row.citation_id and str(row.citation_id)
    extra = row.extra | ({"citation": citation} if citation else {})
    return Record(structures.to_atoms(row), extra, known)
