"""Import: what comes in twice is stored once, whoever brings it and when."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from samples import candidate, chain, compound, gas, metal, person, solid_solution
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from api.models import Material, Structure, User
from api.services import structures
from api.services.structure_import import Found, Terms, import_, store_
from api.services.structure_rows import read_rows, row
from api.services.users import local_owner
from api.settings import PROJECT_ROOT
from nanoos.errors import StructureError
from nanoos.parsers import Source
from nanoos.structures import fingerprint
from nanoos.writers import write

CRYSTALS = [
    candidate(one)
    for one in (
        metal("Cu"),
        metal("Fe"),
        metal("Cu", a=3.7),
        compound("NaCl"),
        compound("MgO"),
        gas("H2O"),
        gas("C6H6"),
        chain("Cu"),
        solid_solution(),
    )
]


async def count(session: AsyncSession, model: type[Material] | type[Structure]) -> int:
    return await session.scalar(select(func.count()).select_from(model)) or 0


async def test_what_comes_twice_is_stored_once(session: AsyncSession, owner: User) -> None:
    copper = candidate(metal("Cu"), name="copper")
    first, again = await import_(session, [copper, copper], owner=owner)
    assert (first.is_new, again.is_new) == (True, False)
    (later,) = await import_(session, [copper], owner=owner)
    assert first.id == again.id == later.id
    assert not later.is_new
    assert await count(session, Structure) == await count(session, Material) == 1


def test_structures_of_a_material_have_its_number() -> None:
    copper, larger, salt = (row(CRYSTALS[place]).material for place in (0, 2, 3))
    assert copper == larger != salt


@pytest.mark.parametrize(
    "wrong",
    [{"extra": {"gap": float("nan")}}, {"extra": {"tags": {1}}}, {"name": 5}, {"name": "a\0b"}],
    ids=str,
)
def test_what_cannot_be_a_row_is_refused_as_such(wrong: dict[str, Any]) -> None:
    """So that the others of its file go in."""
    with pytest.raises(StructureError, match="cannot be stored"):
        row(replace(CRYSTALS[0], **wrong))


async def test_nothing_to_import_is_no_error(session: AsyncSession, owner: User) -> None:
    assert await import_(session, [], owner=owner) == []


@examples(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(batches=st.lists(st.lists(st.sampled_from(range(len(CRYSTALS)))), max_size=4))
async def test_import_is_idempotent_and_answers_in_order(
    session: AsyncSession, owner: User, batches: list[list[int]]
) -> None:
    async with session.begin_nested() as attempt:
        known = dict[int, object]()
        for batch in batches:
            done = await import_(session, [CRYSTALS[place] for place in batch], owner=owner)
            assert sum(one.is_new for one in done) == len(set(batch) - set(known))
            for place, one in zip(batch, done, strict=True):
                assert known.setdefault(place, one.id) == one.id
        assert await count(session, Structure) == len(known)
        rows = await structures.get(session, list(known.values()))
        for place, row in zip(known, rows, strict=True):
            assert row.fingerprint == CRYSTALS[place].analysis.fingerprint
            assert row.fingerprint == fingerprint(structures.to_atoms(row))
        await attempt.rollback()


async def test_private_structures_of_two_owners_and_a_public_one_are_three(
    session: AsyncSession,
) -> None:
    copper = candidate(metal("Cu"))
    rita, hugo = await person(session, "rita"), await person(session, "hugo")
    done = [
        (await import_(session, [copper], owner=who, visibility=visibility))[0]
        for who in (rita, hugo)
        for visibility in ("private", "public")
    ]
    assert [one.is_new for one in done] == [True, True, True, False]
    assert done[1].id == done[3].id  # the public one is Rita's, and there for Hugo
    assert await count(session, Structure) == await count(session, Material) == 3


async def test_polymorphs_are_different_materials(session: AsyncSession, owner: User) -> None:
    polymorphs = [compound("ZnS", "zincblende"), compound("ZnS", "wurtzite")]
    again = [compound("ZnS", "zincblende", a=5.7)]  # one material, another structure
    await import_(session, [candidate(one) for one in polymorphs + again], owner=owner)
    materials = list(await session.scalars(select(Material)))
    assert {one.space_group_number for one in materials} == {216, 186}
    assert {one.reduced_formula for one in materials} == {"SZn"}
    assert await count(session, Structure) == 3


async def test_molecules_are_told_apart_by_their_whole_formula(
    session: AsyncSession, owner: User
) -> None:
    await import_(session, [candidate(gas(name)) for name in ("C2H2", "C6H6")], owner=owner)
    materials = list(await session.scalars(select(Material)))
    assert {one.hill_formula for one in materials} == {"C2H2", "C6H6"}
    assert {one.reduced_formula for one in materials} == {"CH"}
    assert {one.space_group_number for one in materials} == {None}


async def test_a_disordered_crystal_comes_back_as_it_went_in(
    session: AsyncSession, owner: User
) -> None:
    mixed = solid_solution()
    (done,) = await import_(session, [candidate(mixed)], owner=owner)
    (row,) = await structures.get(session, [done.id])
    back = structures.to_atoms(row)
    assert not row.is_ordered
    assert back.species == mixed.species
    assert (back.positions_a == mixed.positions_a).all()
    assert row.material.reduced_formula == "AuCu3"


async def test_what_the_source_said_is_kept(session: AsyncSession, owner: User) -> None:
    said = {"mineral": "Copper", "citation": {"year": 1970, "authors": ["Å. Öström"]}, "n": None}
    halite = candidate(
        metal("Cu"),
        extra=said | {"database": "A collection", "database_code": "0001"},
        source_text="as it came\n",
        source_format="cif",
        source_name="cu.cif",
        source_sha256="0" * 64,
    )
    (done,) = await import_(session, [halite], owner=owner)
    (row,) = await structures.get(session, [done.id])
    assert row.extra.items() >= said.items()
    assert (row.source_text, row.source_name) == ("as it came\n", "cu.cif")
    assert (row.material.name, row.material.source, row.material.external_id) == (
        "Copper",
        "A collection",
        "0001",
    )


async def test_a_relaxed_structure_names_its_parent(session: AsyncSession, owner: User) -> None:
    (parent,) = await import_(session, [candidate(metal("Cu"))], owner=owner)
    relaxed = candidate(metal("Cu", a=3.7), origin="relaxed", parent_id=parent.id)
    (done,) = await import_(session, [relaxed], owner=owner)
    row = await session.get_one(Structure, done.id)
    assert (row.origin, row.parent_id) == ("relaxed", parent.id)


async def test_imports_at_the_same_time_store_each_once(
    sessions: async_sessionmaker[AsyncSession],
) -> None:
    """Overlapping batches in opposite orders, from transactions that are open together."""
    async with sessions.begin() as session:
        owner = await local_owner(session)
    batch = [candidate(metal(symbol)) for symbol in ("Cu", "Al", "Ni", "Ag", "Fe")]
    ready = asyncio.Barrier(4)

    async def bring(turn: int) -> int:
        async with sessions.begin() as session:
            await session.execute(text("SELECT 1"))  # the connection is there
            await ready.wait()
            done = await import_(session, batch if turn % 2 else batch[::-1], owner=owner)
            assert len(done) == len(batch)
            await asyncio.sleep(0.05)
            return sum(one.is_new for one in done)

    new = await asyncio.gather(*(bring(turn) for turn in range(4)))
    async with sessions() as session:
        assert await count(session, Structure) == await count(session, Material) == len(batch)
    assert sum(new) == len(batch)


async def test_an_import_waits_for_one_that_is_given_up_and_then_stores(
    sessions: async_sessionmaker[AsyncSession],
) -> None:
    async with sessions.begin() as session:
        owner = await local_owner(session)
    copper = [candidate(metal("Cu"))]
    async with sessions() as first, sessions.begin() as second:
        await import_(first, copper, owner=owner)
        waiting = asyncio.create_task(import_(second, copper, owner=owner))
        async with sessions() as watcher:
            while not await watcher.scalar(text("SELECT true FROM pg_locks WHERE NOT granted")):
                await asyncio.sleep(0.01)
        await first.rollback()
        (done,) = await waiting
        assert done.is_new


async def test_one_connection_imports_again_and_again(
    sessions: async_sessionmaker[AsyncSession],
) -> None:
    """The temporary table is another one each time; what the driver prepared must not mind."""
    async with sessions() as other, (await other.connection()).engine.connect() as connection:
        for symbol in ("Cu", "Al", "Ni"):
            async with AsyncSession(connection) as session, session.begin():
                owner = await local_owner(session)
                (done,) = await import_(session, [candidate(metal(symbol))], owner=owner)
                assert done.is_new


async def test_a_failed_batch_leaves_nothing(session: AsyncSession, owner: User) -> None:
    wrong = candidate(metal("Al"), origin="relaxed")  # of no parent
    with pytest.raises(DBAPIError, match="parent"):
        async with session.begin_nested():
            await import_(session, [candidate(metal("Cu")), wrong], owner=owner)
    assert await count(session, Structure) == await count(session, Material) == 0


async def test_a_file_is_read_with_its_source(
    session: AsyncSession, owner: User, tmp_path: Path
) -> None:
    file = tmp_path / "al.cif"
    file.write_text(write([metal("Al")], "cif"))
    (read,) = read_rows(Source(str(file), file))
    (done,) = await store_(session, [Found(read, "al.cif")], Terms(owner.id))
    (row,) = await structures.get(session, [done.id])
    assert (row.source_name, row.source_format) == ("al.cif", "cif")
    assert row.source_text == file.read_text()
    assert row.reduced_formula == row.material.reduced_formula == "Al"


async def test_a_publication_has_the_same_id_in_every_database(
    session: AsyncSession, owner: User
) -> None:
    cited = {"citation": {"title": "On copper", "year": 1970}}
    await import_(session, [candidate(metal("Cu"), extra=cited)], owner=owner)
    scripts = ScriptDirectory.from_config(Config(PROJECT_ROOT / "alembic.ini"))
    revision = scripts.get_revision("004_fill_what_structures_are_searched_by")
    made = revision.module.CITATION_ID.format(digest="digest")
    ids = await session.execute(text(f"SELECT id, {made} AS of_the_revision FROM citations"))
    ((id_, of_the_revision),) = ids
    assert id_ == of_the_revision
    assert id_.version == 8
