"""Every way to read, as owner, as stranger, and of what is public."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

import pytest
from samples import metal, performed, person, stored, submitted
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from api.errors import NotFound
from api.models import Material, User
from api.schemas.search import Query
from api.services import embeddings, queue, results, scope, search, simulations, structures
from api.worker.perform import Task


@dataclass
class World:
    """Rita's private copper and public gold, each with a job and a result; Hugo's silver."""

    session: AsyncSession
    rita: User
    hugo: User
    private: UUID
    public: UUID
    hugos: UUID
    jobs: dict[UUID, UUID]
    results: dict[UUID, UUID]


@pytest.fixture
async def world(session: AsyncSession) -> World:
    rita, hugo = await person(session, "rita"), await person(session, "hugo")
    (private,) = await stored(session, rita, metal("Cu"))
    (public,) = await stored(session, rita, metal("Au"), visibility="public")
    (hugos,) = await stored(session, hugo, metal("Ag"))
    await submitted(session, rita, private, public, parameters={"points_per_side": 2})
    claims = await queue.claim(session, worker="here", worker_number=1, limit=9, lease_s=60)
    jobs, found = {}, {}
    for claim in claims:
        task = Task.of(claim)
        jobs[claim.structure_id] = claim.job_id
        found[claim.structure_id] = await results.store_(session, claim, performed(task))
    model = embeddings.embedder()
    await embeddings.embed(session, model, [private, public, hugos])
    return World(session, rita, hugo, private, public, hugos, jobs, found)


async def test_the_lists_of_the_owner(world: World) -> None:
    scope.read_as(world.session, world.rita)
    seen = {row.id for row in (await search.find(world.session, Query())).rows}
    assert {world.private, world.public} < seen  # and what was relaxed from them
    assert world.hugos not in seen
    assert await structures.count(world.session) == len(seen)
    assert {row.id for row in await simulations.list_(world.session)} == set(world.jobs.values())
    assert await simulations.count_by_status(world.session) == {"succeeded": 2}
    found = await results.of_workflow(world.session, "equation_of_state")
    assert {row.id for row in found} == set(world.results.values())


async def test_the_lists_of_a_stranger(world: World) -> None:
    scope.read_as(world.session, world.hugo)
    seen = (await search.find(world.session, Query())).rows
    assert {row.id for row in seen if row.visibility == "private"} == {world.hugos}
    assert world.public in {row.id for row in seen}
    assert {row.id async for row in structures.stream(world.session)} == {row.id for row in seen}
    assert await simulations.list_(world.session) == []
    assert await simulations.count_by_status(world.session) == {}
    assert await results.of_workflow(world.session, "equation_of_state") == []


Read = Callable[[World], Awaitable[object]]

OF_THE_OWNER_ALONE: dict[str, Read] = {
    "structure": lambda w: structures.show(w.session, w.private),
    "structure, among others": lambda w: structures.get(w.session, [w.public, w.private]),
    "neighbours": lambda w: embeddings.nearest(w.session, w.private, SPACE),
    "job": lambda w: simulations.show(w.session, w.jobs[w.private]),
    "job of a public structure": lambda w: simulations.show(w.session, w.jobs[w.public]),
    "result": lambda w: results.show(w.session, w.results[w.private]),
    "result by its job": lambda w: results.show(w.session, w.jobs[w.private]),
    "submission": lambda w: simulations.submit(
        w.session, "equation_of_state", [w.private], owner=w.hugo
    ),
}
SPACE = embeddings.space(embeddings.embedder())


@pytest.mark.parametrize("read", OF_THE_OWNER_ALONE.values(), ids=OF_THE_OWNER_ALONE)
async def test_what_is_private_does_not_exist_for_a_stranger(world: World, read: Read) -> None:
    scope.read_as(world.session, world.hugo)
    world.session.expunge_all()
    with pytest.raises(NotFound):
        await read(world)
    scope.read_as(world.session, world.rita)
    assert await read(world)


async def test_public_structures_are_for_everyone(world: World) -> None:
    scope.read_as(world.session, world.hugo)
    assert (await structures.show(world.session, world.public)).visibility == "public"
    near = await embeddings.nearest(world.session, world.public, SPACE)
    assert {row.id for row in near} == {world.hugos}


async def test_a_material_is_as_visible_as_it_says(world: World) -> None:
    scope.read_as(world.session, world.hugo)
    rows = await world.session.scalars(select(Material))
    assert {row.reduced_formula for row in rows} == {"Au", "Ag"}


async def test_two_sessions_do_not_share_their_viewer(
    world: World,
) -> None:
    """The criterion is compiled once and cached; whose it is must not be."""
    async with AsyncSession(await world.session.connection()) as other:
        scope.read_as(other, world.hugo)
        scope.read_as(world.session, world.rita)
        assert not await simulations.list_(other)
        assert await simulations.list_(world.session)
