"""The queue: who gets which job, for how long, and what a late worker may still do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import pytest
from samples import metal, stored, submitted
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from api.errors import LostLease
from api.models import SimulationJob, User
from api.services import queue, simulations, workers
from api.services.queue import Beat, Claim, Pulse
from api.services.simulations import Terms
from api.services.users import local_owner
from nanoos.errors import EngineCrashed, EngineError

Sessions = async_sessionmaker[AsyncSession]

ALIVE, DEAD = 7, 8
"""Numbers of a worker that holds its lock, and of one that does not."""


async def claim(
    session: AsyncSession, limit: int = 1, *, worker: int = ALIVE, lease_s: int = 60
) -> list[Claim]:
    return await queue.claim(
        session, worker="here:1", worker_number=worker, limit=limit, lease_s=lease_s
    )


async def job(session: AsyncSession, id_: UUID) -> SimulationJob:
    row = await session.get_one(SimulationJob, id_)
    await session.refresh(row)
    return row


@pytest.fixture
async def queued(session: AsyncSession, owner: User) -> list[UUID]:
    """Three jobs, the first one first in the queue."""
    ids = await stored(session, owner, metal("Cu"), metal("Al"), metal("Ni"))
    return await submitted(session, owner, *ids)


@pytest.fixture
async def alive(session: AsyncSession) -> None:
    """The worker ALIVE holds its lock, as it would on a session of its own."""
    await session.execute(
        text("SELECT pg_advisory_xact_lock(:lock_class, :number)"),
        {"lock_class": queue.WORKER_LOCK_CLASS, "number": ALIVE},
    )


async def test_a_claim_says_all_that_the_worker_needs(
    session: AsyncSession, owner: User, queued: list[UUID]
) -> None:
    (mine,) = await claim(session)
    assert (mine.job_id, mine.attempt) == (queued[0], 1)
    assert (mine.workflow, mine.workflow_version, mine.engine) == ("equation_of_state", 1, "emt")
    assert mine.parameters == {"volume_range": 0.06, "points_per_side": 3}
    assert (mine.structure.elements, mine.structure_name) == (("Cu",), "sample 0")
    assert (mine.owner_id, mine.visibility) == (owner.id, "private")
    row = await job(session, queued[0])
    assert (row.status, row.worker, row.attempt) == ("running", "here:1/7", 1)
    assert row.lease_until == row.heartbeat_at + timedelta(seconds=60)


async def test_jobs_are_claimed_in_order(session: AsyncSession, queued: list[UUID]) -> None:
    assert [one.job_id for one in await claim(session, limit=2)] == queued[:2]
    assert [one.job_id for one in await claim(session, limit=2)] == queued[2:]
    assert await claim(session) == []


@pytest.mark.parametrize(("waited", "first"), [(19, "urgent"), (21, "patient")])
async def test_a_point_of_priority_is_worth_ten_minutes_of_waiting(
    session: AsyncSession, owner: User, waited: int, first: str
) -> None:
    patient_id, urgent_id = await stored(session, owner, metal("Cu"), metal("Al"))
    (patient,) = await submitted(session, owner, patient_id)
    past = timedelta(minutes=waited)
    await session.execute(
        update(SimulationJob).values(
            submitted_at=SimulationJob.submitted_at - past, due_at=SimulationJob.due_at - past
        )
    )
    (urgent,) = await submitted(session, owner, urgent_id, terms=Terms(priority=2))
    (mine,) = await claim(session)
    assert mine.job_id == {"urgent": urgent, "patient": patient}[first]


async def test_jobs_that_are_not_queued_are_left_alone(
    session: AsyncSession, queued: list[UUID]
) -> None:
    await session.execute(
        update(SimulationJob).where(SimulationJob.id == queued[0]).values(status="paused")
    )
    assert [one.job_id for one in await claim(session, limit=9)] == queued[1:]


async def test_what_was_imported_does_not_hold_up_the_queue(
    session: AsyncSession, owner: User, queued: list[UUID]
) -> None:
    """A run without a workflow cannot be worked on, whatever its status says."""
    session.add(
        SimulationJob(
            owner_id=owner.id,
            origin="imported",
            parameters_sha256="0" * 64,
            due_at=func.now() - timedelta(days=1),
        )
    )
    await session.flush()
    assert [one.job_id for one in await claim(session)] == queued[:1]


async def test_two_workers_get_different_jobs_and_do_not_wait(
    sessions: Sessions, committed: list[UUID]
) -> None:
    async with sessions.begin() as first, sessions.begin() as second:
        await second.execute(text("SET LOCAL lock_timeout = '1ms'"))
        (one,), (other,) = await claim(first), await claim(second)
        assert {one.job_id, other.job_id} < set(committed)
        assert one.job_id != other.job_id


async def test_many_workers_at_once_claim_every_job_once(
    sessions: Sessions, committed: list[UUID]
) -> None:
    async def work(number: int) -> list[UUID]:
        mine = []
        while True:
            async with sessions.begin() as session:
                claims = await claim(session, worker=number)
            if not claims:
                return mine
            mine += [one.job_id for one in claims]

    claimed = await asyncio.gather(*(work(number) for number in range(4)))
    assert sorted(id_ for mine in claimed for id_ in mine) == sorted(committed)


@pytest.fixture
async def committed(sessions: Sessions) -> list[UUID]:
    """Twelve jobs that every session sees."""
    async with sessions.begin() as session:
        owner = await local_owner(session)
        ids = await stored(session, owner, *(metal("Cu", a=3.5 + 0.01 * n) for n in range(12)))
        return await submitted(session, owner, *ids)


async def test_a_living_worker_keeps_its_job(
    session: AsyncSession, queued: list[UUID], alive: None
) -> None:
    await claim(session)
    assert await queue.recover(session, 5) == 0
    assert (await job(session, queued[0])).status == "running"


async def test_a_dead_workers_job_is_queued_at_once(
    session: AsyncSession, queued: list[UUID], alive: None
) -> None:
    """Its session is gone and so is its lock; nobody waits for the lease."""
    await claim(session, worker=DEAD)
    await claim(session, worker=ALIVE)
    assert await queue.recover(session, 5) == 1
    row = await job(session, queued[0])
    assert (row.status, row.lease_until, row.attempt) == ("queued", None, 1)
    (again,) = await claim(session)
    assert (again.job_id, again.attempt) == (queued[0], 2)


async def test_a_silent_workers_job_is_queued_when_the_lease_is_over(
    session: AsyncSession, queued: list[UUID], alive: None
) -> None:
    (mine,) = await claim(session)
    await session.execute(
        update(SimulationJob)
        .where(SimulationJob.id == mine.job_id)
        .values(lease_until=func.now() - timedelta(seconds=1))
    )
    assert await queue.recover(session, 5) == 1


async def test_a_heartbeat_extends_the_lease(
    session: AsyncSession, queued: list[UUID], alive: None
) -> None:
    (mine,) = await claim(session, lease_s=-1)
    heard = await queue.heartbeat(session, [Beat(mine, 0.5, "half way", {"energy_ev": -3.5})], 60)
    assert heard == {mine.job_id: Pulse(is_cancelled=False)}
    assert await queue.recover(session, 5) == 0
    row = await job(session, mine.job_id)
    assert (row.progress, row.progress_message) == (0.5, "half way")
    assert row.live == {"energy_ev": -3.5}


async def test_a_heartbeat_hears_of_a_cancellation(
    session: AsyncSession, queued: list[UUID]
) -> None:
    (mine,) = await claim(session)
    await session.execute(update(SimulationJob).values(cancel_requested_at=func.now()))
    heard = await queue.heartbeat(session, [Beat(mine, 0.5, "", {})], 60)
    assert heard == {mine.job_id: Pulse(is_cancelled=True)}


async def test_a_job_that_kills_its_workers_fails_in_the_end(
    session: AsyncSession, queued: list[UUID]
) -> None:
    for attempt in (1, 2):
        (mine,) = await claim(session, worker=DEAD)
        assert (mine.job_id, mine.attempt) == (queued[0], attempt)
        assert await queue.recover(session, max_worker_deaths=2) == 1
    row = await job(session, queued[0])
    assert (row.status, row.error_type) == ("failed", "WorkerLost")
    assert "2 times" in (row.error or "")
    assert row.finished_at


async def test_a_lock_of_another_database_is_no_sign_of_life(
    sessions: Sessions, committed: list[UUID], session: AsyncSession, alive: None
) -> None:
    async with sessions.begin() as here:
        await claim(here)
        assert await queue.recover(here, 5) == 1


async def test_a_job_handed_back_is_queued_as_it_was(
    session: AsyncSession, queued: list[UUID]
) -> None:
    (mine,) = await claim(session)
    await queue.hand_back(session, mine)
    row = await job(session, mine.job_id)
    assert (row.status, row.attempt, row.lease_until) == ("queued", 1, None)
    assert (await claim(session))[0].job_id == mine.job_id


async def test_a_failed_job_says_why(session: AsyncSession, queued: list[UUID]) -> None:
    (mine,) = await claim(session)
    await queue.fail(session, mine, EngineError("out of luck"))
    row = await job(session, mine.job_id)
    assert (row.status, row.error, row.error_type) == ("failed", "out of luck", "EngineError")


async def test_a_try_that_a_clock_set_back_puts_off_is_made_when_a_worker_comes(
    session: AsyncSession, queued: list[UUID]
) -> None:
    (mine,) = await claim(session)
    assert await queue.fail(session, mine, EngineCrashed()) == "waiting"
    set_back = (
        "UPDATE simulation_jobs SET not_before = not_before + interval '2 days' WHERE id = :id"
    )
    await session.execute(text(set_back), {"id": mine.job_id})
    for status, failures in (("waiting", 1), ("queued", 1)):
        await queue.recover(session, 5)
        row = await job(session, mine.job_id)
        assert (row.status, row.failures) == (status, failures)
        await workers.arrive(session, 8, name="here:2", engines=["emt"], slots=1)


Late = Callable[[AsyncSession, Claim], Awaitable[object]]


async def heartbeat(session: AsyncSession, claim: Claim) -> None:
    """Say that the job goes on; raise LostLease where it is told that it is somebody else's."""
    if not await queue.heartbeat(session, [Beat(claim, 1, "", {})], 60):
        raise LostLease(str(claim.job_id))


async def succeed(session: AsyncSession, claim: Claim) -> None:
    """Say that the job is done; raise LostLease where it is somebody else's."""
    if not await queue.succeed(session, [claim]):
        raise LostLease(str(claim.job_id))


LATE: dict[str, Late] = {
    "heartbeat": heartbeat,
    "succeed": succeed,
    "fail": lambda s, c: queue.fail(s, c, EngineError()),
    "hand back": queue.hand_back,
}


@pytest.mark.parametrize("say", LATE.values(), ids=LATE)
@pytest.mark.parametrize("now", ["queued", "running", "succeeded", "cancelled"])
async def test_what_a_late_worker_says_changes_nothing(
    session: AsyncSession, owner: User, queued: list[UUID], say: Late, now: str
) -> None:
    (late,) = await claim(session, worker=DEAD)
    await queue.recover(session, 5)
    if now != "queued":
        (current,) = await claim(session)
        assert current.job_id == late.job_id
    if now == "succeeded":
        await queue.succeed(session, [current])
    if now == "cancelled":
        await session.execute(
            update(SimulationJob)
            .where(SimulationJob.id == late.job_id)
            .values(status="cancelled", finished_at=func.now(), lease_until=None)
        )
    before = await simulations.show(session, late.job_id)
    with pytest.raises(LostLease, match=str(late.job_id)):
        await say(session, late)
    session.expire_all()
    assert await simulations.show(session, late.job_id) == before
    assert before.status == now


async def test_heartbeats_are_heap_only(sessions: Sessions, committed: list[UUID]) -> None:
    """No index is touched, however often a worker says that it lives."""
    async with sessions.begin() as session:
        (mine,) = await claim(session)
    hot, beats = 0, 60
    for beat in range(beats):
        async with sessions.begin() as session:
            said = Beat(mine, beat / beats, f"V = {beat} Å³", {"step": beat})
            await queue.heartbeat(session, [said], 60)
            hot += await session.scalar(
                select(
                    func.pg_stat_get_xact_tuples_hot_updated(text("'simulation_jobs'::regclass"))
                )
            )
    assert hot == beats


async def test_a_server_whose_clock_went_back_still_notices_dead_workers(
    session: AsyncSession, owner: User, queued: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It seems to have started in the future, and nobody is still on the way back to it."""
    began_later = str(queue._RECOVER).replace(
        "pg_postmaster_start_time()", "(now() + interval '2 days')"
    )
    monkeypatch.setattr(queue, "_RECOVER", text(began_later))
    monkeypatch.setattr(queue, "RETURN_S", 5.0)
    await claim(session, worker=DEAD)
    assert await queue.recover(session, 5) == 1
