"""Jobs that need others: released when the last of those succeeded, given up when one cannot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import SmallInteger, bindparam, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from api.services import repetitions
from nanoos.engines import make


async def structures_of(
    session: AsyncSession, job_ids: Sequence[UUID]
) -> dict[UUID, UUID | str | None]:
    """Return the structure that each job has found, None while it may, or why it never will.

    Until the transaction ends no job can end, so that one which is to wait for it is not missed.
    """
    await session.execute(_HOLD, {"ids": list(job_ids)})
    rows = await session.execute(_FOUND, {"ids": list(job_ids)})  # as of now that they are held
    found: dict[UUID, UUID | str | None] = {}
    for row in rows:
        found[row.id] = row.output_structure_id
        if row.status in {"failed", "cancelled"}:
            found[row.id] = f"{row.workflow}, which it needs, {row.status}"
        elif row.status == "succeeded" and not (row.is_converged and row.output_structure_id):
            found[row.id] = f"{row.workflow}, which it needs, has not converged"
    return found


async def need(session: AsyncSession, needed: Mapping[UUID, UUID]) -> None:
    """Let each job wait for another, whose structure it takes."""
    if needed:
        values = {"ids": list(needed), "needed_ids": list(needed.values())}
        await session.execute(_NEED, values)


async def release(session: AsyncSession, job_ids: Sequence[UUID]) -> None:
    """Queue the jobs that waited for these alone; what they take of them, they get.

    A result that has not converged is taken by nobody: those that would are given up. Nor is
    done again what another job does of the same structure: that one takes the waiting one's place.
    To be called when the jobs have succeeded and their results are stored.
    """
    if (await session.scalars(_LOCK_WAITING, {"ids": list(job_ids)})).all():
        for job_id in job_ids:
            await _release(session, job_id)


async def _release(session: AsyncSession, job_id: UUID) -> None:
    waiting = (await session.scalars(_LOCK_WAITING, {"ids": [job_id]})).all()
    if not waiting:
        return
    # Statements of their own, which see what others did before they let go of the lock.
    values = {"ids": waiting, "needed_id": job_id}
    for row in (await session.execute(_TAKING, values)).mappings().all():
        job = dict(row)
        if job["output_structure_id"] is None or not job["is_converged"]:
            await session.execute(_GIVE_UP, {"ids": [job["id"]], "needed_ids": [job_id]})
            await give_up(session, [job["id"]])
        elif twin_id := await _hand_over(session, job):
            await _give_way(session, job["id"], twin_id)
    await session.execute(_RELEASE, values)


async def _hand_over(session: AsyncSession, job: Mapping[str, Any]) -> UUID | None:
    """Give a waiting job the structure; or return the job that calculates the same of it."""
    structure_id = job["output_structure_id"]
    engine = make(job["engine"], job["engine_parameters"])
    turns = await repetitions.wanted(
        session, job, [structure_id], engine, fresh=job["repetition"] > 0
    )
    turn = turns[structure_id]
    asked = repetitions.identity(job["parameters"], job["engine_parameters"], turn)
    values = {**job, "structure_id": structure_id, "repetition": turn, "hash": asked}
    while True:
        twin_id: UUID | None = await session.scalar(_TWIN, values)
        if twin_id is not None:
            return twin_id
        try:
            async with session.begin_nested():
                await session.execute(_HAND_OVER, values)
        except IntegrityError:  # somebody has submitted the same meanwhile
            continue
        return None


async def _give_way(session: AsyncSession, job_id: UUID, twin_id: UUID) -> None:
    """Cancel a waiting job for another that calculates the same; who needed it needs that one."""
    values = {"id": job_id, "twin_id": twin_id}
    for statement in (_GIVE_WAY, _NEED_TWIN, _NEED_NO_MORE):
        await session.execute(statement, values)
    if await session.scalar(_HAS_SUCCEEDED, values):
        await release(session, [twin_id])


async def give_up(session: AsyncSession, job_ids: Sequence[UUID]) -> None:
    """Cancel the jobs that wait for one of these, which will not succeed, and so on."""
    while job_ids:
        waiting = (await session.scalars(_LOCK_WAITING, {"ids": list(job_ids)})).all()
        if not waiting:
            return
        await session.execute(_GIVE_UP, {"ids": waiting, "needed_ids": list(job_ids)})
        job_ids = waiting


_HOLD = text("""
SELECT id FROM simulation_jobs WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR SHARE
""")

_FOUND = text("""
SELECT job.id, status, template.name AS workflow, output_structure_id, is_converged
FROM simulation_jobs AS job
JOIN workflow_templates AS template ON template.id = workflow_template_id
LEFT JOIN simulation_results ON simulation_job_id = job.id
WHERE job.id = ANY(CAST(:ids AS uuid[]))
""")

_NEED = text("""
INSERT INTO simulation_dependencies (simulation_job_id, needed_id, takes_structure)
SELECT id, needed_id, true
FROM unnest(CAST(:ids AS uuid[]), CAST(:needed_ids AS uuid[])) AS needs (id, needed_id)
""")

_LOCK_WAITING = text("""
SELECT job.id FROM simulation_jobs AS job
WHERE status IN ('waiting', 'paused') AND id IN (
    SELECT simulation_job_id FROM simulation_dependencies
    WHERE needed_id = ANY(CAST(:ids AS uuid[])))
ORDER BY id -- in one order, so that nobody waits for another in a ring
FOR UPDATE
""")

_TAKING = text("""
SELECT job.id, owner_id, workflow_template_id, engine, parameters, engine_parameters, repetition,
       result.output_structure_id, is_converged
FROM simulation_dependencies AS dependency
JOIN simulation_jobs AS job ON job.id = dependency.simulation_job_id
JOIN simulation_results AS result ON result.simulation_job_id = needed_id
WHERE takes_structure AND needed_id = :needed_id AND job.id = ANY(CAST(:ids AS uuid[]))
ORDER BY job.id
""")

_TWIN = text("""
SELECT id FROM simulation_jobs
WHERE owner_id = :owner_id AND structure_id = :structure_id
  AND workflow_template_id = :workflow_template_id AND engine = :engine
  AND parameters_sha256 = :hash AND id <> :id
  AND origin = 'submitted' AND status NOT IN ('failed', 'cancelled')
FOR SHARE
""")

_HAND_OVER = text("""
UPDATE simulation_jobs
SET structure_id = :structure_id, repetition = :repetition, parameters_sha256 = :hash
WHERE id = :id
""").bindparams(bindparam("repetition", type_=SmallInteger))

_GIVE_WAY = text("""
UPDATE simulation_jobs
SET status = 'cancelled', finished_at = now(), error_type = 'Cancelled',
    error = 'Job ' || CAST(CAST(:twin_id AS uuid) AS text) || ' calculates the same.'
WHERE id = :id
""")

_NEED_TWIN = text("""
INSERT INTO simulation_dependencies (simulation_job_id, needed_id, takes_structure)
SELECT simulation_job_id, CAST(:twin_id AS uuid), takes_structure
FROM simulation_dependencies WHERE needed_id = :id
ON CONFLICT DO NOTHING
""")

_NEED_NO_MORE = text("DELETE FROM simulation_dependencies WHERE needed_id = :id")

_HAS_SUCCEEDED = text("SELECT status = 'succeeded' FROM simulation_jobs WHERE id = :twin_id")

_RELEASE = text("""
UPDATE simulation_jobs AS job
SET status = 'queued'
WHERE id = ANY(CAST(:ids AS uuid[])) AND status = 'waiting'
  AND (not_before IS NULL OR not_before <= now()) AND NOT EXISTS (
      SELECT FROM simulation_dependencies
      JOIN simulation_jobs AS needed ON needed.id = needed_id
      WHERE simulation_job_id = job.id AND needed.status <> 'succeeded')
""")

_GIVE_UP = text("""
UPDATE simulation_jobs AS job
SET status = 'cancelled', finished_at = now(), error_type = 'Cancelled',
    error = (SELECT 'It needs job ' || needed.id || ', which '
                    || CASE needed.status WHEN 'failed' THEN 'failed.'
                                          WHEN 'succeeded' THEN 'has not converged.'
                                          ELSE 'was cancelled.' END
             FROM simulation_dependencies JOIN simulation_jobs AS needed ON needed.id = needed_id
             WHERE simulation_job_id = job.id AND needed_id = ANY(CAST(:needed_ids AS uuid[]))
             ORDER BY needed.id LIMIT 1)
WHERE id = ANY(CAST(:ids AS uuid[]))
""")
