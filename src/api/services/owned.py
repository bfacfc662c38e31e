"""The structures that somebody may change: those of a query that are their own."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from api.errors import NotAllowed, NotFound
from api.models import Structure, User
from api.schemas.search import Query
from api.services import search

NAMED = 5
"""Ids that an error names at most."""


async def ids_of(
    session: AsyncSession, query: Query, owner: User, *, lock: bool = False
) -> list[UUID]:
    """Return the ids of the owner's structures that the query finds, in order.

    With ``lock`` nobody else changes them until the end of the transaction. Raises NotFound
    and NotAllowed for structures named by id that are not in view, or not the owner's.
    """
    where = search.condition(query)
    if query.ids:
        named = select(Structure.id, Structure.owner_id).where(Structure.id.in_(query.ids))
        owners = {row.id: row.owner_id for row in await session.execute(named)}
        if missing := [id_ for id_ in query.ids if id_ not in owners]:
            raise NotFound(f"No structure {listed(missing)}.")
        if others := [id_ for id_, whose in owners.items() if whose != owner.id]:
            raise NotAllowed(f"Only its owner may change structure {listed(others)}.")
    mine = select(Structure.id).where(*where, Structure.owner_id == owner.id).order_by(Structure.id)
    return list(await session.scalars(mine.with_for_update() if lock else mine))


def listed(ids: list[UUID]) -> str:
    """Return the first of the ids, and how many more there are."""
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    return ", ".join(map(str, ids[:NAMED])) + more
