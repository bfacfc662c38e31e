"""Which artifacts results refer to: those in view, and all of them."""

from __future__ import annotations

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from api.errors import NotFound
from api.models import SimulationResult


async def in_view(session: AsyncSession) -> set[str]:
    """Return the hashes of the artifacts that results in view have."""
    listed = select(SimulationResult.artifacts).join(SimulationResult.simulation_job)
    found = await session.scalars(listed.where(SimulationResult.artifacts != []))
    return {one["sha256"] for artifacts in found for one in artifacts if "sha256" in one}


async def of_result(session: AsyncSession, sha256: str) -> None:
    """Raise NotFound where no result in view has the artifact."""
    mine = select(SimulationResult.id).join(SimulationResult.simulation_job)
    has_it = SimulationResult.artifacts.contains([{"sha256": sha256}])
    if await session.scalar(mine.where(has_it).limit(1)) is None:
        raise NotFound(f"No result of yours has an artifact {sha256}.")


async def wanted(session: AsyncSession) -> set[str]:
    """Return the hashes of all artifacts that any result has, whoever's it is."""
    return set(await session.scalars(text(_WANTED)))


_WANTED = """
SELECT DISTINCT artifact ->> 'sha256' FROM simulation_results,
       jsonb_array_elements(artifacts) AS artifact
WHERE artifact ? 'sha256'
"""
