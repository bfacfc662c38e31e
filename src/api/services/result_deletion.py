"""Deletion of results with their jobs: of one's own, all or none. Structures stay."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Uuid

from api.errors import Conflict, NotFound
from api.models import SimulationJob, SimulationResult, Structure, User
from api.schemas.results import Going, ResultDeletion, ResultQuery
from api.services import owned, result_search

ENDED = ("succeeded", "failed", "cancelled")


async def plan(
    session: AsyncSession, query: ResultQuery, owner: User, *, lock: bool = False
) -> ResultDeletion:
    """Return what the query finds of the owner's jobs, those that left no result too.

    Raises NotFound for an id or project that is not there, and Conflict where a job has not ended.
    """
    await result_search.check(session, query)
    described = func.concat_ws(
        ", ",
        func.coalesce(SimulationJob.source_name, Structure.name, Structure.reduced_formula),
        SimulationJob.engine,
        SimulationJob.status,
    )
    found = (
        result_search.selected(
            select(
                SimulationJob.id,
                SimulationResult.id.label("result_id"),
                SimulationJob.status,
                described.label("description"),
            ),
            query,
        )
        .where(SimulationJob.owner_id == owner.id)
        .order_by(SimulationJob.id)
    )
    rows = (await session.execute(found.with_for_update(of=SimulationJob) if lock else found)).all()
    known = {id_ for row in rows for id_ in (row.id, row.result_id)}
    if missing := [id_ for id_ in query.ids if id_ not in known]:
        raise NotFound(f"No result or job of yours {owned.listed(missing)}.")
    if unended := [row.id for row in rows if row.status not in ENDED]:
        raise Conflict(
            f"Job {owned.listed(unended)} has not ended: cancel it, or wait. Nothing was deleted."
        )
    jobs = [row.id for row in rows]
    return ResultDeletion(
        jobs=[
            Going(job_id=row.id, result_id=row.result_id, description=row.description)
            for row in rows
        ],
        continued=await _number(session, _CONTINUED, jobs),
        artifacts=await _number(session, _ARTIFACTS, jobs),
    )


async def delete_(
    session: AsyncSession, query: ResultQuery, owner: User, expected: ResultDeletion
) -> ResultDeletion:
    """Delete what `plan` found. Raises what it does, and Conflict where it finds something else."""
    now = await plan(session, query, owner, lock=True)
    if now != expected:
        raise Conflict("Something changed meanwhile; nothing was deleted. Try again.")
    jobs = [one.job_id for one in now.jobs]
    await session.execute(text(_DELETE_RESULTS).bindparams(_IDS), {"ids": jobs})
    await session.execute(text(_DELETE_JOBS).bindparams(_IDS), {"ids": jobs})
    return now


async def _number(session: AsyncSession, statement: str, jobs: list[UUID]) -> int:
    return await session.scalar(text(statement).bindparams(_IDS), {"ids": jobs}) or 0


_IDS = bindparam("ids", type_=ARRAY(Uuid))

_CONTINUED = """
SELECT count(*) FROM simulation_jobs WHERE continues_id = ANY(:ids) AND id <> ALL(:ids)
"""

_ARTIFACTS = """
SELECT count(*) FROM (
    SELECT artifact ->> 'sha256'
    FROM simulation_results, jsonb_array_elements(artifacts) AS artifact
    WHERE simulation_job_id = ANY(:ids) AND artifact ? 'sha256'
    EXCEPT
    SELECT artifact ->> 'sha256'
    FROM simulation_results, jsonb_array_elements(artifacts) AS artifact
    WHERE simulation_job_id <> ALL(:ids) AND artifact ? 'sha256'
) AS unwanted
"""

_DELETE_RESULTS = "DELETE FROM simulation_results WHERE simulation_job_id = ANY(:ids)"
_DELETE_JOBS = "DELETE FROM simulation_jobs WHERE id = ANY(:ids)"
