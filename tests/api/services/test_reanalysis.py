"""Analysing again while others publish, delete, and have things of their own."""

from __future__ import annotations

from uuid import UUID

import pytest
from meanwhile import Sessions, Work, done_while
from samples import candidate, metal, person, stored
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from api.db import retried
from api.models import Structure
from api.schemas.search import Query
from api.services import curation, deletion, reanalysis, scope
from api.services.structure_import import import_
from api.services.structure_rows import derive_again
from api.services.users import local_owner
from nanoos.structures import ANALYSIS_VERSION

OLDER = """
UPDATE structures SET analysis_version = 1, material_id = :material WHERE id = :id
"""
CITED = {"citation": {"title": "On copper"}}


async def reanalysed_while(sessions: Sessions, table: str, other: Work) -> None:
    async with sessions.begin() as session:
        owner = await local_owner(session)
        waiting = await reanalysis.batch(session, owner, UUID(int=0), 9)
    found = [derived for one in waiting for derived in derive_again(one)]
    assert found
    storing = retried(sessions, lambda session: reanalysis.store_(session, found))
    await done_while(sessions, storing, table, other)


@pytest.mark.parametrize("lost", ["materials", "citations"])
async def test_what_is_dropped_meanwhile_is_made_again(sessions: Sessions, lost: str) -> None:
    """The copper is to move to the material, and name the citation, of what is deleted."""
    async with sessions.begin() as session:
        owner = await local_owner(session)
        other, copper, nickel = await import_(
            session,
            [
                candidate(metal("Cu", a=3.7), extra=CITED),
                candidate(metal("Cu"), extra=CITED),
                candidate(metal("Ni")),
            ],
            owner=owner,
        )
        elsewhere = (await session.get_one(Structure, nickel.id)).material_id
        await session.execute(text(OLDER), {"id": copper.id, "material": elsewhere})
        await session.execute(text("UPDATE structures SET citation_id = NULL WHERE id = :id"),
                              {"id": copper.id})  # fmt: skip

    async def delete(session: AsyncSession) -> None:
        query = Query(ids=(other.id,))
        planned = await deletion.plan(session, query, owner)
        await deletion.delete_(session, query, owner, planned)

    await reanalysed_while(sessions, lost, delete)
    async with sessions() as session:
        again = await session.get_one(Structure, copper.id)
        assert again.analysis_version == ANALYSIS_VERSION
        assert again.material_id != elsewhere
        assert again.citation_id is not None


async def test_what_is_published_meanwhile_is_analysed_too(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        owner = await local_owner(session)
        copper, nickel = await stored(session, owner, metal("Cu"), metal("Ni"))
        elsewhere = (await session.get_one(Structure, nickel)).material_id
        await session.execute(text(OLDER), {"id": copper, "material": elsewhere})

    async def publish(session: AsyncSession) -> None:
        await curation.publish(session, Query(ids=(copper,)), owner, licence="CC0-1.0")

    await reanalysed_while(sessions, "materials", publish)
    async with sessions() as session:
        again = await session.get_one(Structure, copper)
        assert (again.analysis_version, again.visibility) == (ANALYSIS_VERSION, "public")


async def test_only_ones_own_are_said_to_wait(session: AsyncSession) -> None:
    rita, hugo = await person(session, "rita"), await person(session, "hugo")
    await stored(session, rita, metal("Cu"), visibility="public")
    await stored(session, hugo, metal("Au"))
    await session.execute(text("UPDATE structures SET analysis_version = 1"))
    scope.read_as(session, hugo)
    assert len((await session.scalars(select(Structure.id))).all()) == 2
    assert await reanalysis.n_waiting(session, hugo) == 1
