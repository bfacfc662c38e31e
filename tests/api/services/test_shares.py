"""Whose job is next, among owners, engines, and jobs that workers died of."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from samples import metal, person, stored, submitted
from sqlalchemy import func, text, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from api.models import SimulationJob, User
from api.services import queue
from api.services.users import local_owner


async def claimed(session: AsyncSession, limit: int = 1, **how: Any) -> list[UUID]:
    """Claim jobs and return whose they are."""
    known: dict[str, Any] = {"worker": "here:1", "worker_number": 7, "lease_s": 60}
    claims = await queue.claim(session, limit=limit, **(known | how))
    return [claim.owner_id for claim in claims]


@pytest.fixture
async def crowd(session: AsyncSession, owner: User) -> User:
    """Five jobs of the owner, then two of ada; and ada."""
    sizes = [3.5 + n / 100 for n in range(5)]
    await submitted(
        session, owner, *await stored(session, owner, *(metal("Cu", a=a) for a in sizes))
    )
    ada = await person(session, "ada")
    await submitted(
        session, ada, *await stored(session, ada, metal("Al"), metal("Ni"), visibility="public")
    )
    return ada


async def test_owners_with_the_fewest_running_jobs_come_first(
    session: AsyncSession, owner: User, crowd: User
) -> None:
    me = owner.id
    first = await claimed(session, 3)
    assert sorted(first) == sorted([me, crowd.id, me])
    assert await claimed(session) == [crowd.id]
    assert await claimed(session, 9) == [me, me, me]


async def test_owners_without_running_jobs_come_in_turn(
    session: AsyncSession, owner: User, crowd: User
) -> None:
    """One worker, short jobs: whoever was served last waits for the others."""
    turns = []
    for minute in range(6):
        (claim,) = await queue.claim(session, worker="here:1", worker_number=7, lease_s=60, limit=1)
        await queue.succeed(session, [claim])
        started = func.now() + text(f"interval '{minute} minutes'")  # one transaction has one now
        await session.execute(
            update(SimulationJob).where(SimulationJob.id == claim.job_id).values(started_at=started)
        )
        turns.append(claim.owner_id)
    me = owner.id
    assert turns == [me, crowd.id, me, crowd.id, me, me]


async def test_a_worker_claims_jobs_with_its_engines(
    session: AsyncSession, owner: User, crowd: User
) -> None:
    await session.execute(
        update(SimulationJob).where(SimulationJob.owner_id == crowd.id).values(engine="lj")
    )
    assert await claimed(session, 9, engines=["lj"]) == [crowd.id, crowd.id]
    assert await claimed(session, 9, engines=["oracle"]) == []
    assert set(await claimed(session, 9, engines=["emt", "oracle"])) == {owner.id}


async def test_what_others_hold_is_made_up_for(
    sessions: async_sessionmaker[AsyncSession],
) -> None:
    """The share of an owner whose head another worker is just claiming goes to the rest."""
    async with sessions.begin() as session:
        me = await local_owner(session)
        await submitted(session, me, *await stored(session, me, metal("Cu"), metal("Au")))
        ada = await person(session, "ada")
        await submitted(session, ada, *await stored(session, ada, metal("Al")))
    async with sessions.begin() as other, sessions.begin() as session:
        await other.execute(
            text("SELECT id FROM simulation_jobs WHERE owner_id = :id FOR UPDATE"), {"id": ada.id}
        )
        assert await claimed(session, 2) == [me.id] * 2
        assert await claimed(session, 2) == []


async def test_a_job_that_workers_died_of_runs_alone(
    session: AsyncSession, owner: User, crowd: User
) -> None:
    await session.execute(
        update(SimulationJob).where(SimulationJob.owner_id == crowd.id).values(worker_deaths=3)
    )
    assert await claimed(session, 1, idle=False) == [owner.id]
    alone = await queue.claim(session, worker="here:1", worker_number=7, lease_s=60, limit=4)
    assert [(claim.is_alone, claim.owner_id) for claim in alone] == [(True, crowd.id)]
    assert await claimed(session, 9, idle=False) == [owner.id] * 4
