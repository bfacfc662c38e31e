"""How jobs end, are tried again, wait for each other, and what the database lets nobody do."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from samples import claimed, three_submitted
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from api.models import SimulationAttempt, SimulationDependency, SimulationJob, User
from api.models.simulation_job import STATUSES
from api.services import dependencies, queue
from api.services.queue import Beat, Claim, Pulse
from nanoos.errors import EngineCrashed, NotConverged

LEGAL = {
    "waiting": {"queued", "paused", "cancelled", "failed"},
    "queued": {"running", "waiting", "paused", "cancelled"},
    "paused": {"queued", "waiting", "cancelled"},
    "running": {"succeeded", "failed", "cancelled", "queued", "waiting"},
    "failed": {"queued", "waiting"},
    "cancelled": {"queued", "waiting"},
    "succeeded": set(),
}
WAYS: dict[str, list[str]] = {
    "queued": [],
    "succeeded": ["running", "succeeded"],
    "failed": ["running", "failed"],
} | {status: [status] for status in ("waiting", "paused", "running", "cancelled")}
"""How a queued job comes to each status."""
ENDED = {"succeeded", "failed", "cancelled"}


@pytest.fixture
async def jobs(session: AsyncSession, owner: User) -> list[UUID]:
    return await three_submitted(session, owner)


async def claim(session: AsyncSession) -> Claim:
    (mine,) = await claimed(session)
    return mine


async def job(session: AsyncSession, id_: UUID) -> SimulationJob:
    row = await session.get_one(SimulationJob, id_)
    await session.refresh(row)
    return row


async def put(session: AsyncSession, id_: UUID, status: str) -> None:
    await session.execute(
        update(SimulationJob)
        .where(SimulationJob.id == id_)
        .values(
            status=status,
            lease_until=func.now() if status == "running" else None,
            finished_at=func.now() if status in ENDED else None,
        )
    )


async def test_a_status_follows_another_as_it_may(session: AsyncSession, jobs: list[UUID]) -> None:
    for before in STATUSES:
        for after in STATUSES:
            async with session.begin_nested() as nested:
                for status in WAYS[before]:
                    await put(session, jobs[0], status)
                if after in LEGAL[before] | {before}:
                    await put(session, jobs[0], after)
                else:
                    with pytest.raises(IntegrityError, match=f"from {before} to {after}"):
                        await put(session, jobs[0], after)
                await nested.rollback()


async def test_what_passes_is_tried_again_and_each_try_is_noted(
    session: AsyncSession, jobs: list[UUID]
) -> None:
    for wait_s in (10, 20):
        assert await queue.fail(session, await claim(session), EngineCrashed("boom")) == "waiting"
        row = await job(session, jobs[0])
        assert (row.status, row.error_type, row.finished_at) == ("waiting", "EngineCrashed", None)
        assert row.not_before is not None
        assert row.not_before - row.started_at == timedelta(seconds=wait_s)  # type: ignore[operator]
        await session.execute(
            update(SimulationJob)
            .where(SimulationJob.id == jobs[0])
            .values(not_before=func.now())  # it has waited
        )
        await queue.recover(session, 5, 7)
    last = await claim(session)
    assert (last.job_id, last.attempt) == (jobs[0], 3)
    assert await queue.fail(session, last, EngineCrashed("boom")) == "failed"
    tries = await session.scalars(select(SimulationAttempt).order_by("attempt"))
    assert [(one.attempt, one.outcome, one.error, one.worker) for one in tries] == [
        (n, "failed", "boom", "here:1/7") for n in (1, 2, 3)
    ]


async def test_what_comes_of_physics_is_not_tried_again(
    session: AsyncSession, jobs: list[UUID]
) -> None:
    assert await queue.fail(session, await claim(session), NotConverged()) == "failed"
    assert (await job(session, jobs[0])).failures == 0


async def test_a_job_that_may_be_tried_once_is_tried_once(
    session: AsyncSession, jobs: list[UUID]
) -> None:
    await session.execute(update(SimulationJob).values(max_attempts=1))
    assert await queue.fail(session, await claim(session), EngineCrashed()) == "failed"


@pytest.mark.parametrize("end", ["cancelled", "fail", "hand back", "lost"])
async def test_a_running_job_whose_cancellation_is_asked_for_ends_cancelled(
    session: AsyncSession, jobs: list[UUID], end: str
) -> None:
    mine = await claim(session)
    await session.execute(
        update(SimulationJob)
        .where(SimulationJob.id == mine.job_id)
        .values(cancel_requested_at=func.now())
    )
    assert await queue.heartbeat(session, [Beat(mine, 0.5, "", {})], 60) == {
        mine.job_id: Pulse(True)
    }
    if end == "cancelled":
        await queue.cancelled(session, mine)
    elif end == "fail":
        assert await queue.fail(session, mine, EngineCrashed()) == "cancelled"
    elif end == "hand back":
        await queue.hand_back(session, mine)
    else:
        assert await queue.recover(session, 5) == 1  # nobody holds the lock of worker 7
    assert (await job(session, mine.job_id)).status == "cancelled"


async def need(session: AsyncSession, job_id: UUID, *needed: UUID) -> None:
    await put(session, job_id, "waiting")
    session.add_all(SimulationDependency(simulation_job_id=job_id, needed_id=n) for n in needed)
    await session.flush()


async def test_a_job_waits_for_all_that_it_needs(session: AsyncSession, jobs: list[UUID]) -> None:
    first, second, last = jobs
    await need(session, last, first, second)
    for needed, status in ((first, "waiting"), (second, "queued")):
        mine = await claim(session)
        assert mine.job_id == needed
        await queue.succeed(session, [mine])
        await dependencies.release(session, [needed])
        assert (await job(session, last)).status == status


async def test_what_needs_a_job_that_fails_is_given_up(
    session: AsyncSession, jobs: list[UUID]
) -> None:
    first, second, last = jobs
    await need(session, second, first)
    await need(session, last, second)
    await queue.fail(session, await claim(session), NotConverged())
    rows = [await job(session, id_) for id_ in (second, last)]
    assert [row.status for row in rows] == ["cancelled", "cancelled"]
    assert [row.error for row in rows] == [
        f"It needs job {first}, which failed.",
        f"It needs job {second}, which was cancelled.",
    ]
