"""Publishing and deleting while others import, work, or have things that nobody is to see."""

from __future__ import annotations

from uuid import UUID

import pytest
from meanwhile import Sessions, Work, done_while, in_transaction
from samples import candidate, metal, person, stored, submitted
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from api.db import retried
from api.errors import Conflict, NotAllowed
from api.models import Material, SimulationJob, Structure, User
from api.schemas.search import Query
from api.services import curation, deletion
from api.services.structure_import import Candidate, Imported, import_
from api.services.users import local_owner

CITED = {"citation": {"title": "On copper", "authors": ["R. Ita"]}}


async def test_a_public_material_tells_nothing_of_private_structures(
    session: AsyncSession, owner: User
) -> None:
    secret = {"mineral": "secretite", "database": "our own", "database_code": "S-1"}
    known = {"mineral": "copper", "database": "AMCSD", "database_code": "0011145"}
    (_first,) = await import_(session, [candidate(metal("Cu"), extra=secret)], owner=owner)
    (second,) = await import_(session, [candidate(metal("Cu", a=3.7), extra=known)], owner=owner)
    await session.execute(text("UPDATE materials SET tags = '{ours}', extra = '{\"a\": 1}'"))
    await curation.publish(session, Query(ids=(second.id,)), owner, licence="CC0-1.0")
    public = (await session.scalars(select(Material).where(Material.visibility == "public"))).one()
    told = (public.name, public.source, public.external_id, public.tags, public.extra)
    assert told == ("copper", "AMCSD", "0011145", [], {})


async def test_a_public_material_is_not_dropped_under_what_is_published(
    sessions: Sessions,
) -> None:
    async with sessions.begin() as session:
        owner = await local_owner(session)
        (mine,) = await stored(session, owner, metal("Cu"))
        (public,) = await stored(session, owner, metal("Cu", a=3.7), visibility="public")

    async def publish(session: AsyncSession) -> None:
        report = await curation.publish(session, Query(ids=(mine,)), owner, licence="CC0-1.0")
        assert report.published == 1

    await done_while(
        sessions, in_transaction(sessions, publish), "materials", deleting(owner, public)
    )
    async with sessions() as session:
        assert (await session.get_one(Structure, mine)).visibility == "public"


async def test_what_is_published_just_now_gets_no_private_twin(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        owner = await local_owner(session)
        mine, _other = await stored(session, owner, metal("Cu"), metal("Cu", a=3.7))
    imported: list[Imported] = []

    async def bring(session: AsyncSession) -> None:
        imported[:] = await import_(session, [candidate(metal("Cu"))], owner=owner)

    async def publish(session: AsyncSession) -> None:
        await curation.publish(session, Query(ids=(mine,)), owner, licence="CC0-1.0")

    await done_while(sessions, retried(sessions, bring), "materials", publish)
    assert imported == [Imported(mine, is_new=False)]
    async with sessions() as session:
        assert await session.scalar(select(func.count(Structure.id))) == 2


def deleting(owner: User, id_: UUID) -> Work:
    async def delete(session: AsyncSession) -> None:
        planned = await deletion.plan(session, Query(ids=(id_,)), owner)
        await deletion.delete_(session, Query(ids=(id_,)), owner, planned)

    return delete


async def test_what_an_import_is_about_to_refer_to_is_made_again(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        owner = await local_owner(session)
        (old,) = await import_(session, [candidate(metal("Cu"), extra=CITED)], owner=owner)

    async def bring(session: AsyncSession) -> None:
        await import_(session, [candidate(metal("Ag"), extra=CITED)], owner=owner)

    await done_while(sessions, retried(sessions, bring), "citations", deleting(owner, old.id))
    async with sessions() as session:
        (silver,) = await session.scalars(select(Structure))
        assert silver.citation_id is not None


async def test_what_an_import_refers_to_stays(sessions: Sessions) -> None:
    def copper(a: float) -> list[Candidate]:
        return [candidate(metal("Cu", a=a), extra=CITED)]

    async with sessions.begin() as session:
        owner = await local_owner(session)
        (old,) = await import_(session, copper(3.6), owner=owner)
    async with sessions.begin() as importing, sessions.begin() as session:
        await import_(importing, copper(3.7), owner=owner)
        await session.execute(text("SET LOCAL lock_timeout = '2s'"))
        planned = await deletion.plan(session, Query(ids=(old.id,)), owner)
        done = await deletion.delete_(session, Query(ids=(old.id,)), owner, planned)
        assert (done.materials, done.citations) == (0, 0)
    async with sessions.begin() as session:
        (new,) = await session.scalars(select(Structure))
        planned = await deletion.plan(session, Query(ids=(new.id,)), owner)
        done = await deletion.delete_(session, Query(ids=(new.id,)), owner, planned)
        assert (done.materials, done.citations) == (1, 1)


async def test_nobody_begins_with_what_is_being_deleted(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        owner = await local_owner(session)
        (parent,) = await stored(session, owner, metal("Cu"))
        relaxed = candidate(metal("Cu", a=3.7), origin="relaxed", parent_id=parent)
        (child,) = await import_(session, [relaxed], owner=owner)
        (job,) = await submitted(session, owner, child.id)
    async with sessions.begin() as session, sessions() as other:
        planned = await deletion.plan(session, Query(ids=(parent,)), owner, lock=True)
        assert [one.id for one in planned.dependents] == [child.id, job]
        for free in (
            select(SimulationJob.id).with_for_update(skip_locked=True),
            select(Structure.id).with_for_update(skip_locked=True, read=True, key_share=True),
        ):
            assert not (await other.scalars(free)).all()


async def test_a_job_that_a_worker_ends_just_now_is_not_waited_for(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        owner = await local_owner(session)
        (copper,) = await stored(session, owner, metal("Cu"))
        (job,) = await submitted(session, owner, copper)
    async with sessions() as worker, sessions() as session:
        await worker.execute(select(SimulationJob.id).with_for_update())
        await session.execute(text("SET LOCAL lock_timeout = '2s'"))
        with pytest.raises(Conflict, match=str(job)):
            await deletion.plan(session, Query(ids=(copper,)), owner, lock=True)


async def test_how_much_of_others_rests_on_it_is_not_told(
    session: AsyncSession, owner: User
) -> None:
    (copper,) = await stored(session, owner, metal("Cu"), visibility="public")
    await submitted(session, await person(session, "hugo"), copper)
    with pytest.raises(NotAllowed, match="of others rest on them") as refused:
        await deletion.plan(session, Query(ids=(copper,)), owner)
    assert not any(character.isdigit() for character in str(refused.value))
