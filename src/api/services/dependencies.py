"""Jobs that need others: released when the last of those succeeded, given up when one cannot."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession


async def release(session: AsyncSession, job_id: UUID) -> None:
    """Queue the jobs that waited for this one alone; what they take of it, they get.

    To be called when the job has succeeded and its result is stored.
    """
    waiting = (await session.scalars(_LOCK_WAITING, {"ids": [job_id]})).all()
    if waiting:  # a statement of its own, which sees what others did before they let go of the lock
        await session.execute(_RELEASE, {"ids": waiting, "needed_id": job_id})


async def give_up(session: AsyncSession, job_ids: Sequence[UUID]) -> None:
    """Cancel the jobs that wait for one of these, which will not succeed, and so on."""
    while job_ids:
        waiting = (await session.scalars(_LOCK_WAITING, {"ids": list(job_ids)})).all()
        if not waiting:
            return
        await session.execute(_GIVE_UP, {"ids": waiting, "needed_ids": list(job_ids)})
        job_ids = waiting


_LOCK_WAITING = text("""
SELECT job.id FROM simulation_jobs AS job
WHERE status IN ('waiting', 'paused') AND id IN (
    SELECT simulation_job_id FROM simulation_dependencies
    WHERE needed_id = ANY(CAST(:ids AS uuid[])))
ORDER BY id -- in one order, so that nobody waits for another in a ring
FOR UPDATE
""")

_RELEASE = text("""
WITH handed_over AS (
    SELECT dependency.simulation_job_id, output_structure_id
    FROM simulation_dependencies AS dependency
    JOIN simulation_results AS result ON result.simulation_job_id = needed_id
    WHERE takes_structure AND needed_id = :needed_id)
UPDATE simulation_jobs AS job
SET structure_id = coalesce(
        (SELECT output_structure_id FROM handed_over WHERE simulation_job_id = job.id),
        structure_id),
    status = CASE WHEN status = 'paused' OR not_before > now() OR EXISTS (
                      SELECT FROM simulation_dependencies
                      JOIN simulation_jobs AS needed ON needed.id = needed_id
                      WHERE simulation_job_id = job.id AND needed.status <> 'succeeded')
                  THEN status ELSE 'queued' END
WHERE id = ANY(CAST(:ids AS uuid[]))
""")

_GIVE_UP = text("""
UPDATE simulation_jobs AS job
SET status = 'cancelled', finished_at = now(), error_type = 'Cancelled',
    error = (SELECT 'It needs job ' || needed.id || ', which '
                    || CASE needed.status WHEN 'failed' THEN 'failed.' ELSE 'was cancelled.' END
             FROM simulation_dependencies JOIN simulation_jobs AS needed ON needed.id = needed_id
             WHERE simulation_job_id = job.id AND needed_id = ANY(CAST(:needed_ids AS uuid[]))
             ORDER BY needed.id LIMIT 1)
WHERE id = ANY(CAST(:ids AS uuid[]))
""")
