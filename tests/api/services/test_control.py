"""What owners may do with their jobs, why jobs wait, and what is calculated anew."""

from __future__ import annotations

from uuid import UUID

import pytest
from samples import claimed, person, submitted, three_submitted
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from api.errors import Conflict, NotFound
from api.models import SimulationDependency, SimulationJob, User
from api.services import control, explanations, queue, results, simulations, workers
from api.services.queue import Claim
from api.services.results import Run
from nanoos.engines.emt import Emt
from nanoos.errors import EngineCrashed, NotConverged
from nanoos.workflows import Outcome


@pytest.fixture
async def jobs(session: AsyncSession, owner: User) -> list[UUID]:
    return await three_submitted(session, owner)


async def claim(session: AsyncSession) -> Claim:
    (mine,) = await claimed(session)
    return mine


async def statuses(session: AsyncSession, jobs: list[UUID]) -> list[str]:
    rows = await session.execute(select(SimulationJob.id, SimulationJob.status))
    now = {row.id: row.status for row in rows}
    return [now[id_] for id_ in jobs]


async def told(session: AsyncSession, job: UUID) -> str:
    """Return all that is said of a job, in one line."""
    session.expire(await session.get_one(SimulationJob, job))
    said = await explanations.explain(session, job)
    return " ".join([*said.reasons, said.next_step or ""])


async def test_a_running_job_is_asked_to_end(
    session: AsyncSession, owner: User, jobs: list[UUID]
) -> None:
    mine = await claim(session)
    changed = await control.cancel(session, jobs, owner)
    assert [one.status for one in changed] == ["running", "cancelled", "cancelled"]
    assert "asked to end" in await told(session, mine.job_id)
    await queue.hand_back(session, mine)
    assert await statuses(session, jobs) == ["cancelled"] * 3


async def test_all_are_changed_or_none(
    session: AsyncSession, owner: User, jobs: list[UUID]
) -> None:
    await claim(session)
    with pytest.raises(Conflict, match=f"{jobs[0]} is running"):
        await control.pause(session, jobs, owner)
    with pytest.raises(NotFound):
        await control.cancel(session, jobs, await person(session, "ada"))
    assert await statuses(session, jobs) == ["running", "queued", "queued"]


async def test_a_retried_job_brings_what_was_given_up_for_it(
    session: AsyncSession, owner: User, jobs: list[UUID]
) -> None:
    first, second, last = jobs
    for job, needed in ((second, first), (last, second)):
        session.add(SimulationDependency(simulation_job_id=job, needed_id=needed))
    await session.execute(
        update(SimulationJob).where(SimulationJob.id.in_(jobs[1:])).values(status="waiting")
    )
    await session.flush()
    assert f"It needs job {first}, which is queued" in await told(session, second)
    await queue.fail(session, await claim(session), NotConverged("no ground state"))
    assert await statuses(session, jobs) == ["failed", "cancelled", "cancelled"]
    said = await told(session, first)
    assert "no ground state" in said
    assert "--engine-param" in said
    await control.retry(session, [first], owner)
    assert await statuses(session, jobs) == ["queued", "waiting", "waiting"]


async def test_what_was_submitted_anew_is_not_retried(
    session: AsyncSession, owner: User, jobs: list[UUID]
) -> None:
    await queue.fail(session, await claim(session), NotConverged())
    structure = (await session.get_one(SimulationJob, jobs[0])).structure_id
    assert structure is not None
    (anew,) = await submitted(session, owner, structure)
    with pytest.raises(Conflict, match=f"{anew}"):
        await control.retry(session, [jobs[0]], owner)


async def test_why_a_job_waits(session: AsyncSession, owner: User, jobs: list[UUID]) -> None:
    assert "2 of its owner's jobs are before it" in await told(session, jobs[2])
    assert "next of its owner's jobs" in await told(session, jobs[0])
    await workers.arrive(session, 7, name="here:1", engines=["lj"], slots=1)
    assert "No worker is there." in await told(session, jobs[0])
    await session.execute(
        text("SELECT pg_advisory_xact_lock(:lock_class, 7)"),
        {"lock_class": queue.WORKER_LOCK_CLASS},
    )
    assert "has the engine emt, but lj" in await told(session, jobs[0])
    await workers.arrive(session, 7, name="here:1", engines=["emt", "lj"], slots=1)
    assert "worker" not in await told(session, jobs[0])
    await queue.fail(session, await claim(session), EngineCrashed("boom"))
    said = await told(session, jobs[0])
    assert "Try 1 failed: boom The next one is not before" in said


async def test_what_is_done_is_done_again_by_another_method_alone(
    session: AsyncSession, owner: User, jobs: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = await claim(session)
    outcome = Outcome(quantities={}, data={}, convergence={})
    await results.store_(session, mine, Run(outcome, Emt().method(), {}, 1.0))
    assert not await submitted(session, owner, mine.structure_id)
    monkeypatch.setattr(Emt, "version", "0")
    (again,) = await submitted(session, owner, mine.structure_id)
    assert (await simulations.show(session, again)).repetition == 1
    assert not await submitted(session, owner, mine.structure_id)
    (third,) = await submitted(session, owner, mine.structure_id, fresh=True)
    assert (await simulations.show(session, third)).repetition == 2
