"""Materials: those that no structure is left of go."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession


async def drop_emptied(session: AsyncSession, ids: Sequence[UUID]) -> int:
    """Delete those of these materials that have no structure any more; return how many."""
    gone = await session.scalars(text(_DELETE_EMPTIED), {"ids": list(ids)})
    return len(gone.all())


_DELETE_EMPTIED = """
DELETE FROM materials
WHERE id = ANY(CAST(:ids AS uuid[]))
AND NOT EXISTS (SELECT FROM structures WHERE material_id = materials.id)
RETURNING id
"""
