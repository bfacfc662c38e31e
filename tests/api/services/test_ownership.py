"""Who may change and delete what, and what is told of others' structures."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import candidate, metal, person, stored, submitted
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from api.errors import Conflict, NotAllowed, NotFound
from api.models import Material, SimulationJob, Structure, User
from api.schemas.duplicates import Pair, Tier
from api.schemas.search import Query
from api.services import curation, deletion, duplicates, near_duplicates, queue, reanalysis, scope
from api.services.structure_import import Found, Terms, store_
from api.services.structure_rows import row

EVERYTHING = Query()


@dataclass
class World:
    """Rita's private copper and public gold; Hugo's private copper, which has the same content."""

    session: AsyncSession
    rita: User
    hugo: User
    copper: UUID
    gold: UUID
    hugos: UUID


@pytest.fixture
async def world(session: AsyncSession) -> World:
    """As Rita sees it."""
    rita, hugo = await person(session, "rita"), await person(session, "hugo")
    (copper,) = await stored(session, rita, metal("Cu"))
    (gold,) = await stored(session, rita, metal("Au"), visibility="public")
    (hugos,) = await stored(session, hugo, metal("Cu"))
    scope.read_as(session, rita)
    return World(session, rita, hugo, copper, gold, hugos)


async def tags(world: World) -> dict[UUID, list[str]]:
    """All tags, whoever looks: of a table nothing is left out."""
    columns = Structure.__table__.c
    rows = await world.session.execute(select(columns.id, columns.tags))
    return {each.id: each.tags for each in rows}


async def test_only_ones_own_are_changed(world: World) -> None:
    report = await curation.tag(world.session, EVERYTHING, world.rita, add=["mine"])
    assert report.changed == 2
    assert await tags(world) == {world.copper: ["mine"], world.gold: ["mine"], world.hugos: []}


async def test_what_is_named_must_be_ones_own(world: World) -> None:
    private = Query(ids=(world.copper, world.hugos))
    with pytest.raises(NotFound, match=str(world.hugos)):
        await curation.tag(world.session, private, world.rita, add=["mine"])
    with pytest.raises(NotFound):
        await deletion.plan(world.session, private, world.rita)
    scope.read_as(world.session, world.hugo)
    for act in (
        curation.tag(world.session, Query(ids=(world.gold,)), world.hugo, add=["his"]),
        curation.publish(world.session, Query(ids=(world.gold,)), world.hugo),
        deletion.plan(world.session, Query(ids=(world.gold,)), world.hugo),
    ):
        with pytest.raises(NotAllowed, match=str(world.gold)):
            await act
    assert set(map(tuple, (await tags(world)).values())) == {()}


async def test_a_second_one_cannot_publish_the_same(world: World) -> None:
    first = await curation.publish(world.session, EVERYTHING, world.rita, licence="CC0-1.0")
    assert (first.published, first.existing, first.twins) == (1, 1, [])
    scope.read_as(world.session, world.hugo)
    second = await curation.publish(world.session, EVERYTHING, world.hugo, licence="CC0-1.0")
    ((twin,),) = (second.twins,)
    assert (second.published, twin.id, twin.public_id) == (0, world.hugos, world.copper)


async def test_what_others_rest_on_stays(world: World) -> None:
    scope.read_as(world.session, world.hugo)
    await submitted(world.session, world.hugo, world.gold)
    scope.read_as(world.session, world.rita)
    with pytest.raises(NotAllowed, match="Structures or jobs of others"):
        await deletion.plan(world.session, Query(ids=(world.gold,)), world.rita)


async def test_what_a_worker_is_at_stays(world: World) -> None:
    await submitted(world.session, world.rita, world.copper)
    await queue.claim(world.session, worker="here", worker_number=1, limit=9, lease_s=60)
    with pytest.raises(Conflict, match="A worker is at job"):
        await deletion.plan(world.session, Query(ids=(world.copper,)), world.rita)


async def test_what_changed_since_it_was_shown_is_not_deleted(world: World) -> None:
    chosen = Query(ids=(world.copper,))
    shown = await deletion.plan(world.session, chosen, world.rita)
    (job,) = await submitted(world.session, world.rita, world.copper)
    with pytest.raises(Conflict, match="changed meanwhile"):
        await deletion.delete_(world.session, chosen, world.rita, shown)
    await world.session.execute(
        update(SimulationJob).where(SimulationJob.id == job).values(priority=1)
    )
    done = await deletion.delete_(
        world.session, chosen, world.rita, await deletion.plan(world.session, chosen, world.rita)
    )
    assert (done.structures, done.of_kind("job"), done.materials) == ([world.copper], [job], 1)
    materials = await world.session.scalars(select(Material.reduced_formula))
    assert list(materials) == ["Au"]


async def test_others_private_structures_are_nobodys_duplicates(world: World) -> None:
    """Rita and Hugo each have the file, under another name."""
    known = candidate(metal("Cu"), source_sha256="a" * 64, source_format="cif")
    for user, name in ((world.rita, "ritas.cif"), (world.hugo, "hugos.cif")):
        await store_(world.session, [Found(row(known), name)], Terms(user.id))
    assert [
        place.source_name for place in await duplicates.sources(world.session, world.copper)
    ] == ["ritas.cif"]
    assert not await duplicates.sources(world.session, world.hugos)
    for tier in (Tier.FILE, Tier.EXACT, Tier.PROTOSTRUCTURE):
        assert not (await duplicates.groups(world.session, EVERYTHING, tier)).groups
    assert not await near_duplicates.sizes(world.session, EVERYTHING)

    file = Found(row(known), "again.cif")
    await store_(world.session, [file], Terms(world.rita.id))
    (group,) = (await duplicates.groups(world.session, EVERYTHING, Tier.FILE)).groups
    assert [member.source_name for member in group.members] == ["again.cif", "ritas.cif"]


NUMBERS = st.integers(0, 12).map(lambda n: UUID(int=n))


@given(st.lists(st.tuples(NUMBERS, NUMBERS).filter(lambda pair: pair[0] != pair[1]), max_size=20))
def test_groups_are_what_pairs_hold_together(pairs: list[tuple[UUID, UUID]]) -> None:
    groups = near_duplicates.grouped(
        Pair(id=one, other_id=other, rms_a=0, max_a=0, strain=0) for one, other in pairs
    )
    members = [id_ for group in groups for id_ in group]
    assert sorted(members) == sorted({id_ for pair in pairs for id_ in pair})
    of = {id_: number for number, group in enumerate(groups) for id_ in group}
    assert all(of[one] == of[other] for one, other in pairs)
    for group in groups:  # none falls apart
        within = [pair for pair in pairs if pair[0] in group]
        reached = {group[0]}
        for _ in within:
            reached |= {id_ for pair in within if reached & set(pair) for id_ in pair}
        assert reached == set(group)
    assert [len(group) for group in groups] == sorted(map(len, groups), reverse=True)


async def test_only_ones_own_are_analysed_again(world: World) -> None:
    """An admin reads what is public, and leaves it to its owner."""
    world.hugo.role = "admin"
    scope.read_as(world.session, world.hugo)
    assert await reanalysis.count(world.session, world.hugo, every=True) == 1
    (again,) = await reanalysis.batch(world.session, world.hugo, UUID(int=0), 9, every=True)
    assert again.id == world.hugos
