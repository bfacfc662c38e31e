"""Submission: one job for one question, however often it is asked."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import asyncpg
import pytest
from samples import (
    candidate,
    chain,
    claimed,
    gas,
    metal,
    person,
    solid_solution,
    stored,
    submitted,
)
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from api.errors import NotFound
from api.models import SimulationJob, Structure, User
from api.services import queue, scope, simulations, workflows
from api.services.simulations import Terms
from api.services.structure_import import import_
from api.services.users import local_owner
from nanoos.errors import EngineError, InvalidParameters, PluginNotFound, UnsupportedByEngine

EOS = "equation_of_state"


@pytest.fixture
async def copper(session: AsyncSession, owner: User) -> UUID:
    (id_,) = await stored(session, owner, metal("Cu"))
    return id_


async def test_asked_again_it_is_the_same_job(
    session: AsyncSession, owner: User, copper: UUID
) -> None:
    first = await simulations.submit(session, EOS, [copper, copper], owner=owner)
    again = await simulations.submit(session, EOS, [copper], owner=owner)
    assert len(first.submitted) == 1
    assert not first.existing
    assert again.existing == first.submitted
    assert not again.submitted


@pytest.mark.parametrize(
    "same", [{}, {"points_per_side": 3}, {"volume_range": 0.06, "points_per_side": "3"}]
)
async def test_parameters_are_compared_as_they_are_meant(
    session: AsyncSession, owner: User, copper: UUID, same: dict[str, object]
) -> None:
    first = await submitted(session, owner, copper)
    again = await simulations.submit(
        session, EOS, [copper], owner=owner, engine="emt", parameters=same
    )
    assert again.existing == first


async def test_another_question_is_another_job(
    session: AsyncSession, owner: User, copper: UUID
) -> None:
    await submitted(session, owner, copper)
    assert await submitted(session, owner, copper, parameters={"points_per_side": 4})
    rita = await person(session, "rita")
    scope.read_as(session, rita)
    (public,) = await stored(session, owner, metal("Cu"), visibility="public")
    assert await submitted(session, rita, public)
    scope.read_as(session, owner)
    assert await submitted(session, owner, public)
    assert await session.scalar(select(func.count()).select_from(SimulationJob)) == 3


async def test_a_job_holds_all_its_parameters(
    session: AsyncSession, owner: User, copper: UUID
) -> None:
    (job,) = await submitted(
        session, owner, copper, parameters={"points_per_side": 4}, terms=Terms(priority=3)
    )
    shown = await simulations.show(session, job)
    assert shown.parameters == {"volume_range": 0.06, "points_per_side": 4}
    assert (shown.status, shown.priority, shown.attempt) == ("queued", 3, 0)
    assert shown.result_id is None


async def test_named_structures_are_all_submitted_or_none(
    session: AsyncSession, owner: User, copper: UUID
) -> None:
    iron, mixed = await stored(session, owner, metal("Fe"), solid_solution())
    with pytest.raises(UnsupportedByEngine) as refused:
        await simulations.submit(session, EOS, [copper, iron, mixed], owner=owner)
    assert f"{iron}: EMT knows" in str(refused.value)
    assert f"{mixed}: EMT needs" in str(refused.value)
    assert str(copper) not in str(refused.value)
    assert await simulations.list_(session) == []


async def test_a_refusal_names_the_engines_that_could(
    session: AsyncSession, owner: User, copper: UUID
) -> None:
    (argon,) = await stored(session, owner, metal("Ar", a=5.3))
    with pytest.raises(UnsupportedByEngine, match=r"EMT knows .* not Ar; lj.* can"):
        await simulations.submit(session, EOS, [argon], owner=owner)
    with pytest.raises(UnsupportedByEngine, match=r"not Cu unless .*; emt.* can"):
        await simulations.submit(session, EOS, [copper], owner=owner, engine="lj")
    report = await simulations.submit(session, EOS, [argon], owner=owner, engine="lj")
    assert len(report.submitted) == 1


async def test_all_skips_what_cannot_be_done_and_says_why(
    session: AsyncSession, owner: User, copper: UUID
) -> None:
    ids = await stored(session, owner, metal("Fe"), solid_solution(), gas(), chain(), metal("Al"))
    report = await simulations.submit(session, EOS, None, owner=owner)
    done = {row.structure_id for row in await simulations.list_(session)}
    assert done == {copper, ids[4]}
    assert report.skipped == 4
    assert sum(one.structures for one in report.reasons) == 4
    assert {one.example for one in report.reasons} <= set(ids[:4])
    assert all(one.reason for one in report.reasons)
    again = await simulations.submit(session, EOS, None, owner=owner)
    assert again.existing == report.submitted


async def test_all_leaves_out_what_calculations_made(
    session: AsyncSession, owner: User, copper: UUID
) -> None:
    relaxed = candidate(metal("Cu", a=3.7), origin="relaxed", parent_id=copper)
    await import_(session, [relaxed], owner=owner)
    report = await simulations.submit(session, EOS, None, owner=owner)
    assert len(report.submitted) == 1
    assert not report.skipped


@pytest.mark.parametrize(
    ("workflow", "engine", "parameters", "error", "says"),
    [
        ("alchemy", None, {}, NotFound, "equation_of_state"),
        (EOS, "oracle", {}, PluginNotFound, "emt"),
        (EOS, None, {"points": 3}, InvalidParameters, "points_per_side"),
        (EOS, None, {"points_per_side": 1}, InvalidParameters, "points_per_side"),
        (EOS, None, {"points_per_side": 2.5}, InvalidParameters, "points_per_side"),
        (EOS, None, {"volume_range": "wide"}, InvalidParameters, "volume_range"),
        (EOS, None, {"volume_range": float("nan")}, InvalidParameters, "volume_range"),
        (EOS, None, {"volume_range": None}, InvalidParameters, "volume_range"),
    ],
)
async def test_what_cannot_be_submitted_is_said(
    session: AsyncSession,
    owner: User,
    copper: UUID,
    workflow: str,
    engine: str | None,
    parameters: dict[str, object],
    error: type[Exception],
    says: str,
) -> None:
    with pytest.raises(error, match=says):
        await simulations.submit(
            session, workflow, [copper], owner=owner, engine=engine, parameters=parameters
        )
    assert await simulations.list_(session) == []


async def test_an_unknown_structure_is_named(
    session: AsyncSession, owner: User, copper: UUID
) -> None:
    unknown = uuid4()
    with pytest.raises(NotFound, match=str(unknown)):
        await simulations.submit(session, EOS, [copper, unknown], owner=owner)
    with pytest.raises(NotFound, match=str(unknown)):
        await simulations.show(session, unknown)


async def test_what_failed_may_be_asked_again(
    session: AsyncSession, owner: User, copper: UUID
) -> None:
    first = await submitted(session, owner, copper)
    (claim,) = await claimed(session)
    await queue.fail(session, claim, EngineError("out of luck"))
    second = await submitted(session, owner, copper)
    assert second
    assert second != first


async def test_what_succeeded_is_not_done_again(
    session: AsyncSession, owner: User, copper: UUID
) -> None:
    first = await submitted(session, owner, copper)
    (claim,) = await claimed(session)
    await queue.succeed(session, [claim])
    report = await simulations.submit(session, EOS, [copper], owner=owner)
    assert report.existing == first


async def test_submissions_at_the_same_time_make_one_job(
    sessions: async_sessionmaker[AsyncSession],
) -> None:
    async with sessions.begin() as session:
        owner = await local_owner(session)
        ids = await stored(session, owner, *(metal(one) for one in ("Cu", "Al", "Ni", "Ag")))
    ready = asyncio.Barrier(4)

    async def ask(turn: int) -> simulations.SubmitReport:
        async with sessions.begin() as session:
            await session.execute(text("SELECT 1"))
            await ready.wait()
            order = ids if turn % 2 else ids[::-1]
            return await simulations.submit(session, EOS, order, owner=owner)

    reports = await asyncio.gather(*(ask(turn) for turn in range(4)))
    made = [job for report in reports for job in report.submitted]
    assert len(made) == len(set(made)) == len(ids)
    for report in reports:
        assert {*report.submitted, *report.existing} == set(made)


async def test_submissions_in_opposite_order_do_not_deadlock(
    sessions: async_sessionmaker[AsyncSession],
) -> None:
    async with sessions.begin() as session:
        owner = await local_owner(session)
        ids = await stored(session, owner, metal("Cu"), metal("Al"))
        await workflows.register(session)
        await session.execute(
            text("""
            CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep(0.2); RETURN new; END $$
        """)
        )
        await session.execute(
            text("""
            CREATE TRIGGER slow BEFORE INSERT ON simulation_jobs
            FOR EACH ROW EXECUTE FUNCTION dawdle()
        """)
        )

    async def ask(order: list[UUID]) -> simulations.SubmitReport:
        async with sessions.begin() as session:
            return await simulations.submit(session, EOS, order, owner=owner)

    reports = await asyncio.gather(ask(ids), ask(ids[::-1]))
    assert sum(len(report.submitted) for report in reports) == len(ids)


async def test_a_job_that_ends_while_it_is_asked_for_is_asked_for_anew(
    session: AsyncSession, owner: User, copper: UUID
) -> None:
    """It stood in the way of the new one, and then is no answer any more."""
    (first,) = await submitted(session, owner, copper)
    await session.execute(
        text(f"""
        CREATE FUNCTION end_first() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            UPDATE simulation_jobs SET status = 'cancelled', finished_at = now()
            WHERE id = '{first}';
            RETURN NULL;
        END $$
    """)
    )
    await session.execute(
        text("""
        CREATE TRIGGER meanwhile AFTER INSERT ON simulation_jobs
        FOR EACH STATEMENT EXECUTE FUNCTION end_first()
    """)
    )
    report = await simulations.submit(session, EOS, [copper], owner=owner)
    assert len(report.submitted) == 1
    assert report.submitted != [first]


async def test_workers_are_told_when_the_submission_commits(
    sessions: async_sessionmaker[AsyncSession],
) -> None:
    told = asyncio.Event()
    async with sessions() as listening, sessions() as session:
        raw = await (await listening.connection()).get_raw_connection()
        assert isinstance(raw.driver_connection, asyncpg.Connection)
        await raw.driver_connection.add_listener(simulations.QUEUE_CHANNEL, lambda *_: told.set())
        owner = await local_owner(session)
        await submitted(session, owner, *await stored(session, owner, metal("Cu")))
        assert not told.is_set()
        await session.commit()
        await asyncio.wait_for(told.wait(), 10)


async def test_jobs_are_listed_the_newest_first(session: AsyncSession, owner: User) -> None:
    ids = await stored(session, owner, metal("Cu"), metal("Al"), metal("Ni"))
    made = [job for one in ids for job in await submitted(session, owner, one)]
    assert [row.id for row in await simulations.list_(session)] == made[::-1]
    assert [row.id for row in await simulations.list_(session, limit=1)] == made[:-2:-1]
    assert await simulations.list_(session, status="failed") == []
    assert await simulations.count_by_status(session) == {"queued": 3}
    (row,) = [row for row in await simulations.list_(session) if row.id == made[1]]
    assert (row.reduced_formula, row.structure_name, row.workflow) == ("Al", "sample 1", EOS)


async def test_a_deep_queue_is_submitted_in_one_go(session: AsyncSession, owner: User) -> None:
    sizes = [3.5 + 0.001 * n for n in range(300)]
    await stored(session, owner, *(metal("Cu", a=a) for a in sizes))
    report = await simulations.submit(session, EOS, None, owner=owner)
    assert len(report.submitted) == len(sizes)
    order = await session.scalars(
        select(SimulationJob.structure_id).order_by(SimulationJob.due_at, SimulationJob.id)
    )
    assert list(order) == list(await session.scalars(select(Structure.id).order_by(Structure.id)))
