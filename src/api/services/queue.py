"""The queue, as a worker sees it: claim, heartbeat, store, fail, hand back.

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

from api.errors import LostLease
from api.models import User
from api.services import structures
from nanoos.structures import Structure

WORKER_LOCK_CLASS = 0x6E616E6F
"""First key of the advisory lock a worker holds ("nano"); the second is its own number."""


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
    structure_id: UUID
    structure: Structure
    structure_name: str | None
    fingerprint: str
    visibility: str
    owner: User


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


async def recover(session: AsyncSession, max_attempts: int) -> int:
    """Queue the jobs of dead workers again; those tried too often fail. Returns how many."""
    result = await session.execute(
        _RECOVER, {"lock_class": WORKER_LOCK_CLASS, "max_attempts": max_attempts}
    )
    return len(result.all())


async def claim(
    session: AsyncSession, *, worker: str, worker_number: int, limit: int, lease_s: int
) -> list[Claim]:
    """Claim the jobs that have been due longest, at most ``limit``."""
    result = await session.execute(
        _CLAIM,
        {"worker": f"{worker}/{worker_number}", "limit": limit, "lease_s": float(lease_s)},
    )
    rows = result.mappings().all()
    found = await structures.get(session, [row["structure_id"] for row in rows])
    return [
        Claim(
            job_id=row["id"],
            attempt=row["attempt"],
            workflow=row["workflow"],
            workflow_version=row["workflow_version"],
            engine=row["engine"],
            parameters=row["parameters"],
            engine_parameters=row["engine_parameters"],
            resources=row["resources"],
            wall_time_limit_s=row["wall_time_limit_s"],
            memory_limit_mb=row["memory_limit_mb"],
            structure_id=structure.id,
            structure=structures.to_atoms(structure),
            structure_name=structure.name,
            fingerprint=structure.fingerprint,
            visibility=structure.visibility,
            owner=await session.get_one(User, row["owner_id"]),
        )
        for row, structure in zip(rows, found, strict=True)
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


async def succeed(session: AsyncSession, claim_: Claim) -> None:
    """End the job well; LostLease where it is no longer ours."""
    await _guarded(session, _SUCCEED, claim_, {})


async def fail(session: AsyncSession, claim_: Claim, error: BaseException) -> None:
    """End the job with its error; LostLease where it is no longer ours."""
    await _guarded(
        session, _FAIL, claim_, {"error": str(error), "error_type": type(error).__name__}
    )


async def hand_back(session: AsyncSession, claim_: Claim) -> None:
    """Queue the job again as if it had not been claimed; LostLease where it is not ours."""
    await _guarded(session, _HAND_BACK, claim_, {})


async def _guarded(
    session: AsyncSession, statement: Any, claim_: Claim, values: dict[str, Any]
) -> None:
    result = await session.execute(
        statement, values | {"id": claim_.job_id, "attempt": claim_.attempt}
    )
    if result.first() is None:
        raise LostLease(
            f"Job {claim_.job_id} is no longer this worker's (attempt {claim_.attempt} was"
            " given up); nothing was stored."
        )


_RECOVER = text("""
UPDATE simulation_jobs AS job
SET status = CASE WHEN attempt >= :max_attempts THEN 'failed' ELSE 'queued' END,
    finished_at = CASE WHEN attempt >= :max_attempts THEN now() END,
    error = CASE WHEN attempt >= :max_attempts
            THEN 'Its worker died or fell silent ' || attempt || ' times.' END,
    error_type = CASE WHEN attempt >= :max_attempts THEN 'WorkerLost' END,
    lease_until = NULL
WHERE id IN (
    SELECT id FROM simulation_jobs
    WHERE status = 'running'
      AND (lease_until < now() OR NOT EXISTS (
          SELECT FROM pg_locks
          WHERE locktype = 'advisory' AND granted AND objsubid = 2
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND classid = :lock_class
            AND objid = CAST(split_part(worker, '/', 2) AS bigint)))
    FOR UPDATE SKIP LOCKED)
RETURNING id
""")

_CLAIM = text("""
WITH due AS (
    SELECT id FROM simulation_jobs
    WHERE status = 'queued' AND origin = 'submitted' -- an imported one may have no workflow
    ORDER BY due_at, id
    LIMIT :limit
    FOR UPDATE SKIP LOCKED)
UPDATE simulation_jobs AS job
SET status = 'running', attempt = attempt + 1, worker = :worker,
    lease_until = now() + make_interval(secs => :lease_s), heartbeat_at = now(),
    started_at = now(), progress = 0, progress_message = NULL, error = NULL, error_type = NULL
FROM due, workflow_templates AS template
WHERE job.id = due.id AND template.id = job.workflow_template_id
RETURNING job.id, job.attempt, job.engine, job.parameters, job.engine_parameters,
          job.resources, job.wall_time_limit_s, job.memory_limit_mb, job.structure_id, job.owner_id,
          template.name AS workflow, template.version AS workflow_version
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
RETURNING job.id, cancel_requested_at IS NOT NULL AS is_cancelled
""")

_SUCCEED = text("""
UPDATE simulation_jobs
SET status = 'succeeded', finished_at = now(), lease_until = NULL, progress = 1
WHERE id = :id AND attempt = :attempt AND status = 'running'
RETURNING id
""")

_FAIL = text("""
UPDATE simulation_jobs
SET status = 'failed', finished_at = now(), lease_until = NULL,
    error = :error, error_type = :error_type
WHERE id = :id AND attempt = :attempt AND status = 'running'
RETURNING id
""")

_HAND_BACK = text("""
UPDATE simulation_jobs
SET status = 'queued', lease_until = NULL, attempt = attempt - 1, progress = 0
WHERE id = :id AND attempt = :attempt AND status = 'running'
RETURNING id
""")
