"""The queue, as a worker sees it: claim, heartbeat, succeed, fail, hand back.

A job is a worker's for one attempt. Whatever the worker says later is guarded
by that attempt's number, so one that was given up cannot overwrite its
successor. A worker proves that it lives by an advisory lock on its session and
by heartbeats that extend its lease; losing either gives its jobs back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from api.errors import LostLease, WorkerLost, outcome
from api.services import dependencies, structures
from api.services.shares import CLAIM, CLAIM_LEFT
from nanoos.structures import Structure

WORKER_LOCK_CLASS = 0x6E616E6F
"""First key of the advisory lock a worker holds ("nano"); the second is its own number."""
PLANNED_ONCE = {"plan_cache_mode": "force_generic_plan"}
"""For the connections of a worker: planning a claim anew takes as long as carrying it out."""
RETURN_S = 5.0
"""How long workers may take to come back to a server that was started again."""
MAX_ATTEMPTS = 3
"""Tries that may end with a passing error, where neither job nor worker says otherwise."""
RETRY_AFTER_S = 10.0
"""How long a job waits after the first such try; twice as long after each further one, ..."""
RETRY_AFTER_AT_MOST_S = 3600.0
"""... but no longer than this."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One attempt at one job."""

    job_id: UUID
    attempt: int
    workflow: str
    workflow_version: int
    engine: str
    parameters: dict[str, Any]
    engine_parameters: dict[str, Any]
    resources: dict[str, Any]
    wall_time_limit_s: int | None
    memory_limit_mb: int | None
    is_alone: bool
    """Workers died of it: nothing else is to run beside it."""
    structure_id: UUID
    structure: Structure
    structure_name: str | None
    fingerprint: str
    visibility: str
    owner_id: UUID


@dataclass(frozen=True, slots=True)
class Beat:
    """What a worker says of an attempt that is under way; ``progress`` is 0..1."""

    claim: Claim
    progress: float
    message: str
    live: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Pulse:
    """What the queue answers: whether somebody wants the job, which is still ours, to end."""

    is_cancelled: bool


async def recover(
    session: AsyncSession, max_worker_deaths: int, worker_number: int | None = None
) -> int:
    """Queue again what can be: jobs of dead workers, and those whose time to wait is over.

    Jobs that killed too many workers fail. Returns how many jobs their workers had lost.
    Workers that are no more are forgotten. The one that asks, ``worker_number``, lives: late
    heartbeats of its own are no sign of death. After the server began, workers have
    `RETURN_S` to come back to it.
    """
    values = {
        "worker_number": worker_number,
        "return_s": RETURN_S,
        "lock_class": WORKER_LOCK_CLASS,
        "max_worker_deaths": max_worker_deaths,
        "error_type": WorkerLost.__name__,
    }
    rows = (await session.execute(_RECOVER, values)).all()
    await dependencies.give_up(session, [row.id for row in rows if row.status != "queued"])
    return len(rows)


async def claim(
    session: AsyncSession,
    *,
    worker: str,
    worker_number: int,
    limit: int,
    lease_s: int,
    engines: Sequence[str] | None = None,
    idle: bool = True,
) -> list[Claim]:
    """Claim at most ``limit`` jobs, each owner's in the order in which they are due.

    Owners with the fewest running jobs come first, then those of whom nothing was started for
    longest. Only jobs with one of ``engines`` are claimed, if it is given. A job that workers
    died of is claimed by a worker that is ``idle`` alone, and then nothing else.
    """
    values: dict[str, Any] = {
        "worker": f"{worker}/{worker_number}",
        "lease_s": float(lease_s),
        "engines": None if engines is None else list(engines),
    }
    rows = list(await session.execute(CLAIM, values | {"limit": limit, "idle": int(idle)}))
    if len(rows) < limit and not any(row.is_alone for row in rows):
        # Others may hold what was to be ours, or there is no more.
        rows += await session.execute(CLAIM_LEFT, values | {"limit": limit - len(rows)})
    return [
        Claim(
            job_id=row.id,
            attempt=row.attempt,
            workflow=row.workflow,
            workflow_version=row.workflow_version,
            engine=row.engine,
            parameters=row.parameters,
            engine_parameters=row.engine_parameters,
            resources=row.resources,
            wall_time_limit_s=row.wall_time_limit_s,
            memory_limit_mb=row.memory_limit_mb,
            is_alone=row.is_alone,
            structure_id=row.structure_id,
            structure=structures.to_atoms(row),
            structure_name=row.structure_name,
            fingerprint=row.fingerprint,
            visibility=row.visibility,
            owner_id=row.owner_id,
        )
        for row in rows
    ]


async def heartbeat(
    session: AsyncSession, beats: Sequence[Beat], lease_s: int
) -> dict[UUID, Pulse]:
    """Extend leases and note the progress; return what is said of those that are still ours."""
    rows = await session.execute(
        _HEARTBEAT,
        {
            "ids": [beat.claim.job_id for beat in beats],
            "attempts": [beat.claim.attempt for beat in beats],
            "progress": [beat.progress for beat in beats],
            "messages": [beat.message for beat in beats],
            "live": [json.dumps(dict(beat.live)) for beat in beats],
            "lease_s": float(lease_s),
        },
    )
    return {row.id: Pulse(row.is_cancelled) for row in rows}


async def succeed(session: AsyncSession, claims: Sequence[Claim]) -> set[UUID]:
    """End the jobs well; return the ids of those that were still ours.

    Jobs that need them are released by `dependencies.release`, once their results are stored.
    """
    values = {
        "ids": [claim_.job_id for claim_ in claims],
        "attempts": [claim_.attempt for claim_ in claims],
    }
    return set(await session.scalars(_SUCCEED, values))


async def fail(
    session: AsyncSession,
    claim_: Claim,
    error: Exception,
    *,
    max_attempts: int = MAX_ATTEMPTS,
    retry_after_s: float = RETRY_AFTER_S,
) -> str:
    """End the attempt with its error; LostLease where the job is no longer ours.

    Returns the job's new status: ``waiting`` for its next try if the error may pass and there
    were not too many such, else ``failed``; ``cancelled`` if that was asked for.
    """
    status = await _guarded(
        session,
        _FAIL,
        claim_,
        {
            "error": str(error),
            "error_type": type(error).__name__,
            "passing": outcome(error).retry,
            "max_attempts": max_attempts,
            "retry_after_s": retry_after_s,
            "at_most_s": RETRY_AFTER_AT_MOST_S,
        },
    )
    if status != "waiting":
        await dependencies.give_up(session, [claim_.job_id])
    return status


async def cancelled(session: AsyncSession, claim_: Claim) -> None:
    """End the job as its owner asked for; LostLease where it is no longer ours."""
    await _guarded(session, _CANCELLED, claim_, {})
    await dependencies.give_up(session, [claim_.job_id])


async def hand_back(session: AsyncSession, claim_: Claim) -> None:
    """Queue the job again, which counts as no failure; LostLease where it is not ours."""
    if await _guarded(session, _HAND_BACK, claim_, {}) == "cancelled":
        await dependencies.give_up(session, [claim_.job_id])


async def hand_back_strays(
    session: AsyncSession, *, worker: str, worker_number: int, held: Sequence[UUID]
) -> None:
    """Queue again what the worker claimed and is not among what it holds: it never heard of it."""
    rows = await session.execute(
        _HAND_BACK_STRAYS, {"worker": f"{worker}/{worker_number}", "held": list(held)}
    )
    cancelled = [row.id for row in rows if row.status == "cancelled"]
    await dependencies.give_up(session, cancelled)


async def has_ended(session: AsyncSession, claim_: Claim) -> bool:
    """Return whether it was this attempt that ended the job, as a lost answer does not tell."""
    return bool(await session.scalar(_HAS_ENDED, {"id": claim_.job_id, "attempt": claim_.attempt}))


async def next_try_s(session: AsyncSession, engines: Sequence[str] | None = None) -> float | None:
    """Return how long until the next job that failed is tried again, in s; None if there is none.

    Only jobs with one of ``engines`` count, if it is given.
    """
    left: float | None = await session.scalar(
        _NEXT_TRY, {"engines": None if engines is None else list(engines)}
    )
    return left


async def _guarded(
    session: AsyncSession, statement: Any, claim_: Claim, values: dict[str, Any]
) -> str:
    """Change the job's status and return the new one; LostLease where it is not ours."""
    status: str | None = await session.scalar(
        statement, values | {"id": claim_.job_id, "attempt": claim_.attempt}
    )
    if status is None:
        raise lost(claim_)
    return status


def lost(claim_: Claim) -> LostLease:
    """Return the error that says that a job is no longer ours."""
    return LostLease(
        f"Job {claim_.job_id} is no longer this worker's (attempt {claim_.attempt} was"
        " given up); nothing was stored."
    )


# A worker that lives holds its lock, in this database. What waits for a time alone is woken; what
# needs other jobs is released by the last of them.
_RECOVER = text("""
WITH alive AS (
    SELECT CAST(objid AS bigint) AS number FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid = :lock_class
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),
lost AS (
    SELECT id,
           CASE WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
                WHEN worker_deaths + 1 >= :max_worker_deaths THEN 'failed'
                ELSE 'queued' END AS becomes
    FROM simulation_jobs
    WHERE status = 'running'
      AND CAST(split_part(worker, '/', 2) AS bigint) IS DISTINCT FROM :worker_number
      AND pg_postmaster_start_time() NOT BETWEEN now() - make_interval(secs => :return_s) AND now()
      AND (lease_until < now()
           OR CAST(split_part(worker, '/', 2) AS bigint) NOT IN (SELECT number FROM alive))
    FOR UPDATE SKIP LOCKED),
gone AS (
    DELETE FROM workers
    WHERE started_at < now() - interval '1 minute' AND number NOT IN (SELECT number FROM alive)),
woken AS (
    UPDATE simulation_jobs SET status = 'queued' WHERE id IN (
        SELECT id FROM simulation_jobs AS job
        WHERE status = 'waiting' AND not_before <= now() AND NOT EXISTS (
            SELECT FROM simulation_dependencies
            JOIN simulation_jobs AS needed ON needed.id = needed_id
            WHERE simulation_job_id = job.id AND needed.status <> 'succeeded')
        FOR UPDATE SKIP LOCKED))
UPDATE simulation_jobs AS job
SET status = becomes, worker_deaths = worker_deaths + 1, lease_until = NULL,
    finished_at = CASE WHEN becomes <> 'queued' THEN now() END,
    error = CASE WHEN becomes = 'failed'
                 THEN 'It kills its worker: ' || worker_deaths + 1 || ' times one died or fell'
                      ' silent while it ran.'
                 ELSE 'Its worker died or fell silent.' END,
    error_type = :error_type
FROM lost WHERE job.id = lost.id
RETURNING job.id, job.status
""")

# In one order, so that nobody who locks several waits for another in a ring.
_HEARTBEAT = text("""
WITH beats AS (
    SELECT beat.*
    FROM unnest(CAST(:ids AS uuid[]), CAST(:attempts AS integer[]), CAST(:progress AS float8[]),
                CAST(:messages AS text[]), CAST(:live AS text[]))
         AS beat (id, attempt, progress, message, live)
    JOIN simulation_jobs AS job ON job.id = beat.id AND job.attempt = beat.attempt
    WHERE status = 'running'
    ORDER BY beat.id
    FOR NO KEY UPDATE OF job)
UPDATE simulation_jobs AS job
SET heartbeat_at = now(), lease_until = now() + make_interval(secs => :lease_s),
    progress = beats.progress, progress_message = message, live = CAST(beats.live AS jsonb)
FROM beats WHERE job.id = beats.id
RETURNING job.id, job.cancel_requested_at IS NOT NULL AS is_cancelled
""")

_SUCCEED = text("""
WITH ours AS (
    SELECT job.id
    FROM unnest(CAST(:ids AS uuid[]), CAST(:attempts AS integer[])) AS claimed (id, attempt)
    JOIN simulation_jobs AS job ON job.id = claimed.id AND job.attempt = claimed.attempt
    WHERE status = 'running'
    ORDER BY job.id
    FOR NO KEY UPDATE OF job)
UPDATE simulation_jobs AS job
SET status = 'succeeded', finished_at = now(), lease_until = NULL, progress = 1
FROM ours WHERE job.id = ours.id
RETURNING job.id
""")

_FAIL = text("""
UPDATE simulation_jobs AS job
SET status = becomes, lease_until = NULL, error = :error, error_type = :error_type,
    failures = CASE WHEN :passing THEN failures + 1 ELSE failures END,
    finished_at = CASE WHEN becomes <> 'waiting' THEN now() END,
    not_before = CASE WHEN becomes = 'waiting' THEN now() + make_interval(
        secs => least(:retry_after_s * power(2, failures), :at_most_s)) ELSE not_before END
FROM (SELECT id AS its_id,
             CASE WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
                  WHEN :passing AND failures + 1 < coalesce(max_attempts, :max_attempts)
                  THEN 'waiting' ELSE 'failed' END AS becomes
      FROM simulation_jobs WHERE id = :id FOR UPDATE) AS its
WHERE its_id = id AND attempt = :attempt AND status = 'running'
RETURNING status
""")

_CANCELLED = text("""
UPDATE simulation_jobs SET status = 'cancelled', finished_at = now(), lease_until = NULL
WHERE id = :id AND attempt = :attempt AND status = 'running'
RETURNING status
""")

_BACK = """
UPDATE simulation_jobs
SET status = CASE WHEN cancel_requested_at IS NULL THEN 'queued' ELSE 'cancelled' END,
    finished_at = CASE WHEN cancel_requested_at IS NOT NULL THEN now() END,
    lease_until = NULL, progress = 0
WHERE {which} AND status = 'running'
RETURNING status, id
"""
_HAND_BACK = text(_BACK.format(which="id = :id AND attempt = :attempt"))
_HAND_BACK_STRAYS = text(
    _BACK.format(which="worker = :worker AND id <> ALL(CAST(:held AS uuid[]))")
)

_HAS_ENDED = text("""
SELECT status = 'succeeded' FROM simulation_jobs WHERE id = :id AND attempt = :attempt
""")

_NEXT_TRY = text("""
SELECT CAST(extract(epoch FROM min(not_before) - now()) AS float8) FROM simulation_jobs
WHERE status = 'waiting' AND failures > 0
  AND (CAST(:engines AS text[]) IS NULL OR engine = ANY(CAST(:engines AS text[])))
""")
