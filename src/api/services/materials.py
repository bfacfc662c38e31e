"""Materials and citations: those that no structure is left of go.

One that an import is about to refer to stays: nobody waits for it, and nothing fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession


async def drop_emptied(session: AsyncSession, ids: Sequence[UUID]) -> int:
    """Delete those of these materials that have no structure any more; return how many."""
    return await _drop(session, _LOCK_MATERIALS, _DELETE_EMPTIED, ids)


async def drop_uncited(session: AsyncSession, ids: Sequence[UUID]) -> int:
    """Delete those of these citations that no structure names any more; return how many."""
    return await _drop(session, _LOCK_CITATIONS, _DELETE_UNCITED, ids)


async def _drop(session: AsyncSession, lock: str, delete: str, ids: Sequence[UUID]) -> int:
    """Delete in two statements: only the second sees all that came in before the lock."""
    locked = (await session.scalars(text(lock), {"ids": list(ids)})).all()
    gone = await session.scalars(text(delete), {"ids": list(locked)})
    return len(gone.all())


_LOCK_MATERIALS = """
SELECT id FROM materials WHERE id = ANY(CAST(:ids AS uuid[])) FOR UPDATE SKIP LOCKED
"""

_DELETE_EMPTIED = """
DELETE FROM materials
WHERE id = ANY(CAST(:ids AS uuid[]))
AND NOT EXISTS (SELECT FROM structures WHERE material_id = materials.id)
RETURNING id
"""

_LOCK_CITATIONS = """
SELECT id FROM citations WHERE id = ANY(CAST(:ids AS uuid[])) FOR UPDATE SKIP LOCKED
"""

_DELETE_UNCITED = """
DELETE FROM citations
WHERE id = ANY(CAST(:ids AS uuid[]))
AND NOT EXISTS (SELECT FROM structures WHERE citation_id = citations.id)
RETURNING id
"""
