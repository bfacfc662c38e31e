"""Which artifacts results refer to, whoever's they are."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession


async def wanted(session: AsyncSession) -> set[str]:
    """Return the hashes of all artifacts that any result has."""
    return set(await session.scalars(text(_WANTED)))


_WANTED = """
SELECT DISTINCT artifact ->> 'sha256' FROM simulation_results,
       jsonb_array_elements(artifacts) AS artifact
WHERE artifact ? 'sha256'
"""
