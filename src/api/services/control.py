"""Jobs, as their owner controls them: cancel, pause, resume, retry; all that are named, or none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from api.errors import Conflict, NotFound
from api.models import SimulationJob, User
from api.schemas.simulation import JobChange
from api.services import dependencies
from api.services.simulations import QUEUE_CHANNEL

CANCELLABLE = frozenset({"waiting", "queued", "paused", "running", "cancelled"})
PAUSABLE = frozenset({"waiting", "queued", "paused"})
RESUMABLE = frozenset({"paused"})
RETRIABLE = frozenset({"failed", "cancelled"})


async def ids_of(session: AsyncSession, owner: User, statuses: frozenset[str]) -> list[UUID]:
    """Return the owner's submitted jobs in one of these statuses."""
    mine = select(SimulationJob.id).where(
        SimulationJob.owner_id == owner.id,
        SimulationJob.origin == "submitted",
        SimulationJob.status.in_(statuses),
    )
    return list(await session.scalars(mine))


async def cancel(session: AsyncSession, ids: Sequence[UUID], owner: User) -> list[JobChange]:
    """End jobs; running ones are ended by their workers, which are told so at once.

    What needs one of them is cancelled too. Raises NotFound, and Conflict for a job that has
    ended otherwise.
    """
    await _locked(session, ids, owner, CANCELLABLE, "cancelled")
    rows = (await session.execute(_CANCEL, {"ids": list(ids)})).all()
    await dependencies.give_up(session, [row.id for row in rows if row.status == "cancelled"])
    await _tell_workers(session)
    return _changes(ids, rows)


async def pause(session: AsyncSession, ids: Sequence[UUID], owner: User) -> list[JobChange]:
    """Keep jobs from being claimed. Raises NotFound, and Conflict for one that runs or ended."""
    await _locked(session, ids, owner, PAUSABLE, "paused")
    return _changes(ids, (await session.execute(_PAUSE, {"ids": list(ids)})).all())


async def resume(session: AsyncSession, ids: Sequence[UUID], owner: User) -> list[JobChange]:
    """Let paused jobs be claimed again. Raises NotFound, and Conflict for one that is not."""
    await _locked(session, ids, owner, RESUMABLE, "resumed")
    rows = (await session.execute(_QUEUE, {"ids": list(ids)})).all()
    await _tell_workers(session)
    return _changes(ids, rows)


async def retry(session: AsyncSession, ids: Sequence[UUID], owner: User) -> list[JobChange]:
    """Queue jobs anew that failed or were cancelled, with what they need and what needed them.

    Raises NotFound, and Conflict for one that did neither, or that was submitted anew meanwhile.
    """
    await _locked(session, ids, owner, RETRIABLE, "retried")
    again = (await session.scalars(_AGAIN, {"ids": list(ids)})).all()
    await _locked(session, again, owner, RETRIABLE, "retried")
    if (twin := (await session.execute(_TWIN, {"ids": again})).first()) is not None:
        raise Conflict(f"Job {twin.id} asks for what job {twin.other} does; nothing was changed.")
    await session.execute(_RESET, {"ids": again})
    rows = (await session.execute(_QUEUE, {"ids": again})).all()
    await _tell_workers(session)
    return _changes(again, rows)


async def _locked(
    session: AsyncSession,
    ids: Sequence[UUID],
    owner: User,
    allowed: frozenset[str],
    done: str,
) -> None:
    """Lock the jobs; raises NotFound, and Conflict for one that is in no allowed status."""
    found = await session.execute(
        select(SimulationJob.id, SimulationJob.status)
        .where(
            SimulationJob.id.in_(ids),
            SimulationJob.owner_id == owner.id,
            SimulationJob.origin == "submitted",
        )
        .order_by(SimulationJob.id)
        .with_for_update()
    )
    statuses = {row.id: row.status for row in found}
    if missing := [str(id_) for id_ in ids if id_ not in statuses]:
        raise NotFound(f"No job {', '.join(missing)} of yours; nothing was changed.")
    if others := [
        f"{id_} is {status}" for id_, status in statuses.items() if status not in allowed
    ]:
        raise Conflict(
            f"Only jobs that are {_listed(allowed - {done})} can be {done}: {'; '.join(others)}."
            " Nothing was changed."
        )


def _listed(statuses: frozenset[str]) -> str:
    *others, last = sorted(statuses)
    return f"{', '.join(others)} or {last}" if others else last


def _changes(ids: Sequence[UUID], rows: Sequence[Any]) -> list[JobChange]:
    now = {row.id: row.status for row in rows}
    return [JobChange(id=id_, status=now[id_]) for id_ in dict.fromkeys(ids)]


async def _tell_workers(session: AsyncSession) -> None:
    await session.execute(select(func.pg_notify(QUEUE_CHANNEL, "")))


_CANCEL = text("""
UPDATE simulation_jobs
SET status = CASE status WHEN 'running' THEN status ELSE 'cancelled' END,
    cancel_requested_at = coalesce(cancel_requested_at, now()),
    finished_at = CASE status WHEN 'running' THEN NULL ELSE coalesce(finished_at, now()) END
WHERE id = ANY(CAST(:ids AS uuid[]))
RETURNING id, status
""")

_PAUSE = text("""
UPDATE simulation_jobs SET status = 'paused' WHERE id = ANY(CAST(:ids AS uuid[]))
RETURNING id, status
""")

_QUEUE = text("""
UPDATE simulation_jobs AS job
SET status = CASE WHEN not_before > now() OR EXISTS (
        SELECT FROM simulation_dependencies
        JOIN simulation_jobs AS needed ON needed.id = needed_id
        WHERE simulation_job_id = job.id AND needed.status <> 'succeeded')
    THEN 'waiting' ELSE 'queued' END, finished_at = NULL
WHERE id = ANY(CAST(:ids AS uuid[]))
RETURNING id, status
""")

# What they need and has not succeeded, and what was given up for their sake.
_AGAIN = text("""
WITH RECURSIVE again AS (
    SELECT id FROM simulation_jobs WHERE id = ANY(CAST(:ids AS uuid[]))
    UNION
    SELECT other.id
    FROM again
    JOIN simulation_dependencies AS dependency
      ON again.id IN (dependency.simulation_job_id, dependency.needed_id)
    JOIN simulation_jobs AS other
      ON other.id IN (dependency.simulation_job_id, dependency.needed_id) AND other.id <> again.id
    WHERE other.status IN ('failed', 'cancelled')
      AND (other.id = dependency.needed_id OR other.error_type = 'Cancelled'))
SELECT id FROM again
""")

_TWIN = text("""
SELECT job.id, other.id AS other
FROM simulation_jobs AS job
JOIN simulation_jobs AS other USING (owner_id, structure_id, workflow_template_id, engine,
                                     parameters_sha256)
WHERE job.id = ANY(CAST(:ids AS uuid[])) AND other.id <> job.id
  AND other.origin = 'submitted'
  AND (other.status NOT IN ('failed', 'cancelled')
       OR (other.id = ANY(CAST(:ids AS uuid[])) AND other.id > job.id))
LIMIT 1
""")

_RESET = text("""
UPDATE simulation_jobs
SET failures = 0, worker_deaths = 0, not_before = NULL, cancel_requested_at = NULL,
    error = NULL, error_type = NULL, progress = 0, progress_message = NULL, live = NULL
WHERE id = ANY(CAST(:ids AS uuid[]))
""")
