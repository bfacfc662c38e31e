"""Why a job waits, or how it failed, in words, and what may be done about it."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from api.errors import NotFound
from api.models import SimulationAttempt, SimulationDependency, SimulationJob
from api.models.simulation_job import DEATHS_BEFORE_ALONE
from api.schemas.simulation import Explanation
from api.services import maintenance, workers

NEXT_STEPS = {
    "EngineUnavailable": "`nano-os engines` says how to get it; then `nano-os jobs retry {id}`.",
    "MemoryExceeded": "Submit it again with more --memory, or none.",
    "NotConverged": "Submit it again with other --engine-param.",
    "UnsupportedByEngine": "Submit it again with another --engine.",
    "WallTimeExceeded": "Submit it again with more --wall-time, or none.",
    "WorkerLost": "Look for what ended the workers, such as a lack of memory; then"
    " `nano-os jobs retry {id}`.",
}
RETRY = "`nano-os jobs retry {id}` tries it again; with other parameters, submit it again."


async def explain(session: AsyncSession, id_: UUID) -> Explanation:
    """Return why the job waits, what it is doing, or how it ended. Raises NotFound."""
    job = await session.scalar(select(SimulationJob).where(SimulationJob.id == id_))
    if job is None or job.origin != "submitted":
        raise NotFound(f"No submitted job {id_}.")
    why, next_step = await _ABOUT[job.status](session, job)
    return Explanation(
        id=job.id,
        status=job.status,
        reasons=why,
        next_step=next_step and next_step.format(id=job.id),
    )


Said = tuple[list[str], str | None]


async def _queued(session: AsyncSession, job: SimulationJob) -> Said:
    before = await _before(session, job)
    why = [
        f"{before} of its owner's jobs {'is' if before == 1 else 'are'} before it."
        if before
        else "It is the next of its owner's jobs."
    ]
    if others := await _others(session, job):
        why.append(f"{others} other {'people take' if others > 1 else 'person takes'} turns.")
    if job.worker_deaths >= DEATHS_BEFORE_ALONE:
        why.append(
            f"{job.worker_deaths} workers died or fell silent at it: it runs alone, when a worker"
            " has nothing else to do."
        )
    if now := await maintenance.current(session):
        return [f"Maintenance is on, nothing is claimed: {now.reason}.", *why], None
    there = await workers.alive(session)
    if not there:
        return ["No worker is there.", *why], "Start one: `nano-os worker`."
    if not any(job.engine in worker.engines for worker in there):
        known = ", ".join(sorted({engine for worker in there for engine in worker.engines}))
        said = f"No worker that is there has the engine {job.engine}, but {known or 'none'}."
        return [said, *why], f"Start one where it runs: `nano-os worker --engines {job.engine}`."
    return why, None


async def _before(session: AsyncSession, job: SimulationJob) -> int:
    """Return how many of its owner's jobs are due before it."""
    mine = select(func.count()).where(
        SimulationJob.owner_id == job.owner_id,
        SimulationJob.status == "queued",
        SimulationJob.origin == "submitted",
        tuple_(SimulationJob.due_at, SimulationJob.id) < tuple_(job.due_at, job.id),
    )
    return await session.scalar(mine) or 0


async def _others(session: AsyncSession, job: SimulationJob) -> int:
    """Return how many other people have jobs queued; whose, is not for all to see."""
    table = SimulationJob.__table__
    query = select(func.count(table.c.owner_id.distinct())).where(
        table.c.status == "queued", table.c.origin == "submitted", table.c.owner_id != job.owner_id
    )
    return await session.scalar(query) or 0


async def _waiting(session: AsyncSession, job: SimulationJob) -> Said:
    why = []
    if job.error and job.not_before:
        why.append(f"Try {job.attempt} failed: {job.error}")
        why.append(f"The next one is not before {_time(job.not_before)}.")
    elif job.not_before and job.not_before > datetime.now(UTC):
        why.append(f"It starts not before {_time(job.not_before)}.")
    needed = await session.execute(
        select(SimulationJob.id, SimulationJob.status)
        .join(SimulationDependency, SimulationDependency.needed_id == SimulationJob.id)
        .where(
            SimulationDependency.simulation_job_id == job.id, SimulationJob.status != "succeeded"
        )
        .order_by(SimulationJob.id)
    )
    why += [f"It needs job {row.id}, which is {row.status}." for row in needed]
    return why or ["It is queued as soon as a worker looks."], None


async def _paused(_session: AsyncSession, _job: SimulationJob) -> Said:
    return ["It was paused."], "`nano-os jobs resume {id}`"


async def _running(_session: AsyncSession, job: SimulationJob) -> Said:
    since = _time(job.started_at) if job.started_at else "now"
    why = [f"Worker {job.worker} is at it since {since}: {job.progress:.0%} done."]
    if job.progress_message:
        why.append(job.progress_message)
    if job.cancel_requested_at:
        why.append("Its worker is asked to end it.")
    return why, None


async def _succeeded(_session: AsyncSession, _job: SimulationJob) -> Said:
    return ["It is done."], "`nano-os results show {id}`"


async def _failed(session: AsyncSession, job: SimulationJob) -> Said:
    why = [job.error or "It failed."]
    tries = await session.scalars(
        select(SimulationAttempt)
        .where(SimulationAttempt.simulation_job_id == job.id)
        .order_by(SimulationAttempt.attempt)
    )
    why += [
        f"Try {one.attempt} of {one.worker}, {_time(one.ended_at)}: {one.outcome}"
        + (f", {one.error_type}: {one.error}" if one.error else "")
        for one in tries
    ]
    return why, NEXT_STEPS.get(job.error_type or "", RETRY)


async def _cancelled(_session: AsyncSession, job: SimulationJob) -> Said:
    return [job.error or "It was cancelled."], "`nano-os jobs retry {id}`"


_ABOUT = {
    "queued": _queued,
    "waiting": _waiting,
    "paused": _paused,
    "running": _running,
    "succeeded": _succeeded,
    "failed": _failed,
    "cancelled": _cancelled,
}


def _time(at: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S %Z}"
