"""Embeddings: who is near whom, by the index, and only among what one may see."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest
from samples import chain, compound, gas, metal, person, solid_solution, stored
from sqlalchemy import event, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from api.errors import NotFound, WrongUsage
from api.models import StructureSimilarity, User, VectorEmbedding
from api.services import embeddings, scope
from api.services.embeddings import Space
from api.services.users import local_owner
from nanoos.errors import PluginNotFound

SPACE = embeddings.space(embeddings.embedder())
CRYSTALS = {
    "NaCl": compound("NaCl"),
    "MgO": compound("MgO", a=4.2),
    "CsCl": compound("CsCl", "cesiumchloride", a=4.1),
    "ZnS": compound("ZnS", "zincblende"),
    "Cu": metal("Cu"),
    "Fe": metal("Fe"),
    "Au": metal("Au"),
}


async def embed(session: AsyncSession, ids: Sequence[UUID]) -> list[tuple[UUID, str]]:
    return await embeddings.embed(session, embeddings.embedder(), ids)


@pytest.fixture
async def crystals(session: AsyncSession, owner: User) -> dict[str, UUID]:
    """Seven crystals with their embeddings."""
    ids = await stored(session, owner, *CRYSTALS.values())
    assert await embed(session, ids) == []
    return dict(zip(CRYSTALS, ids, strict=True))


@pytest.mark.parametrize(
    ("of", "nearest"), [("NaCl", "MgO"), ("MgO", "NaCl"), ("Cu", "Au"), ("Au", "Cu")]
)
async def test_the_nearest_has_the_same_crystal_structure(
    session: AsyncSession, crystals: dict[str, UUID], of: str, nearest: str
) -> None:
    near = await embeddings.nearest(session, crystals[of], SPACE)
    assert near[0].id == crystals[nearest]
    assert len(near) == len(crystals) - 1
    distances = [row.distance for row in near]
    assert distances == sorted(distances)
    assert distances[0] < 0.01 < distances[1]


async def test_k_is_how_many(session: AsyncSession, crystals: dict[str, UUID]) -> None:
    assert len(await embeddings.nearest(session, crystals["Cu"], SPACE, k=2)) == 2


async def test_every_structure_is_embedded_once(
    session: AsyncSession, crystals: dict[str, UUID]
) -> None:
    assert await embeddings.missing(session, SPACE) == []
    (new,) = await stored(session, await local_owner(session), metal("Al"))
    assert await embeddings.missing(session, SPACE) == [new]
    await embed(session, [new, *crystals.values()])
    rows = await session.scalar(select(func.count()).select_from(VectorEmbedding))
    assert rows == len(crystals) + 1


async def test_what_is_no_crystal_is_reported_and_others_go_on(
    session: AsyncSession, owner: User
) -> None:
    ids = await stored(session, owner, gas(), metal("Cu"), chain(), solid_solution())
    failed = await embed(session, ids)
    assert [id_ for id_, _ in failed] == [ids[0], ids[2]]
    assert all(reason for _, reason in failed)
    assert await embeddings.missing(session, SPACE) == sorted([ids[0], ids[2]])
    with pytest.raises(NotFound, match="no soap embedding"):
        await embeddings.nearest(session, ids[0], SPACE)


async def test_nothing_to_embed_is_no_error(session: AsyncSession, owner: User) -> None:
    assert await embed(session, []) == []


async def test_unknown_structures_and_models_are_named(session: AsyncSession, owner: User) -> None:
    unknown = uuid4()
    with pytest.raises(NotFound, match=str(unknown)):
        await embeddings.nearest(session, unknown, SPACE)
    with pytest.raises(PluginNotFound, match="soap"):
        embeddings.embedder("palm-reading")


async def test_structures_of_others_are_no_neighbours(session: AsyncSession) -> None:
    rita, hugo = await person(session, "rita"), await person(session, "hugo")
    (mine,) = await stored(session, rita, CRYSTALS["NaCl"])
    (public,) = await stored(session, hugo, CRYSTALS["MgO"], visibility="public")
    (secret,) = await stored(session, hugo, compound("PbS", a=5.9))
    await embed(session, [mine, public, secret])
    await embeddings.renew_similarities(session, SPACE)
    pairs = await session.execute(
        select(StructureSimilarity.structure_a_id, StructureSimilarity.structure_b_id)
    )
    assert {frozenset(pair) for pair in pairs} == {
        frozenset([mine, public]),
        frozenset([secret, public]),
    }
    scope.read_as(session, rita)
    assert [row.id for row in await embeddings.nearest(session, mine, SPACE)] == [public]
    assert await embeddings.missing(session, SPACE) == []
    with pytest.raises(NotFound):
        await embeddings.nearest(session, secret, SPACE)


async def test_similarities_are_each_structures_nearest(
    session: AsyncSession, crystals: dict[str, UUID]
) -> None:
    pairs = await embeddings.renew_similarities(session, SPACE)
    rows = list(await session.scalars(select(StructureSimilarity)))
    assert len(rows) == pairs == len(crystals) * (len(crystals) - 1) / 2
    stored_ = {frozenset([row.structure_a_id, row.structure_b_id]): row.distance for row in rows}
    for id_ in crystals.values():
        for near in await embeddings.nearest(session, id_, SPACE):
            assert stored_[frozenset([id_, near.id])] == pytest.approx(near.distance, abs=1e-6)
    assert await embeddings.renew_similarities(session, SPACE) == pairs


async def test_only_so_many_neighbours_are_kept(session: AsyncSession, owner: User) -> None:
    ids = await stored(session, owner, *(metal("Cu", a=3.0 + 0.02 * n) for n in range(25)))
    await embed(session, ids)
    await embeddings.renew_similarities(session, SPACE)
    kept = await session.scalar(
        text("""
        SELECT min(n) FROM (
            SELECT count(*) AS n
            FROM structures JOIN structure_similarities ON id IN (structure_a_id, structure_b_id)
            GROUP BY id) AS each
    """)
    )
    assert kept == embeddings.NEIGHBOURS


@pytest.mark.parametrize("model", ["a'b", 'a"b', "a b", "", "x" * 21, "ä", "a;b"])
def test_a_name_that_is_not_plain_does_not_get_into_sql(model: str) -> None:
    with pytest.raises(WrongUsage):
        Space(model, "1", 3, "l2")


def test_the_index_of_every_space_has_a_name_of_its_own() -> None:
    """PostgreSQL cuts names at 63 bytes, and would take two long ones for one."""
    longest = Space("m" * 17, "1" * 17, 3, "l2")
    assert len(longest.index) <= 63
    for model, version in (("m" * 20, "1" * 20), ("m" * 18, "1" * 17)):
        with pytest.raises(WrongUsage):
            Space(model, version, 3, "l2")


async def test_the_index_serves_the_query(
    sessions: async_sessionmaker[AsyncSession],
) -> None:
    await fill(sessions)
    async with sessions() as session:
        await embeddings.create_index(session, SPACE)
    asked: list[tuple[str, tuple[object, ...]]] = []
    async with sessions() as session:
        connection = await session.connection()

        @event.listens_for(connection.sync_connection, "before_cursor_execute")
        def keep(
            _1: object, _2: object, statement: str, values: tuple[object, ...], *_: object
        ) -> None:
            if "ORDER BY" in statement:
                asked.append((statement, values))

        (first, *_) = (await session.scalars(select(VectorEmbedding.structure_id))).all()
        assert await embeddings.nearest(session, first, SPACE)
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        await session.execute(text("SET LOCAL enable_sort = off"))
        statement, values = asked[-1]
        plan = await connection.exec_driver_sql(f"EXPLAIN {statement}", values)
        assert any(f'"{SPACE.index}"' in line or SPACE.index in line for (line,) in plan)


async def fill(sessions: async_sessionmaker[AsyncSession]) -> None:
    async with sessions.begin() as session:
        owner = await local_owner(session)
        ids = await stored(session, owner, *CRYSTALS.values())
        await embed(session, ids)


async def valid_index(sessions: async_sessionmaker[AsyncSession]) -> int | None:
    """The identity of the index, where it is there and valid."""
    found = "SELECT indexrelid FROM pg_index WHERE indisvalid AND indexrelid = to_regclass(:name)"
    async with sessions() as session:
        oid: int | None = await session.scalar(text(found), {"name": f'"{SPACE.index}"'})
        return oid


async def make_index(sessions: async_sessionmaker[AsyncSession]) -> None:
    async with sessions() as session:
        await embeddings.create_index(session, SPACE)


async def waiting(sessions: async_sessionmaker[AsyncSession]) -> int:
    """Wait until some process waits for a lock or a transaction, and return its number."""
    while True:
        async with sessions() as session:
            pid: int | None = await session.scalar(
                text("SELECT pid FROM pg_locks WHERE NOT granted")
            )
            if pid is not None:
                return pid


async def test_the_index_is_made_once(sessions: async_sessionmaker[AsyncSession]) -> None:
    await fill(sessions)
    await make_index(sessions)
    first = await valid_index(sessions)
    assert first
    await make_index(sessions)
    assert await valid_index(sessions) == first


async def test_an_index_whose_making_was_cut_short_is_made_anew(
    sessions: async_sessionmaker[AsyncSession],
) -> None:
    await fill(sessions)
    async with sessions() as writer:
        await writer.execute(text("LOCK TABLE vector_embeddings IN ROW EXCLUSIVE MODE"))
        making = asyncio.create_task(make_index(sessions))
        pid = await waiting(sessions)
        await writer.execute(text("SELECT pg_cancel_backend(:pid)"), {"pid": pid})
        with pytest.raises(DBAPIError, match="cancel"):
            await making
    assert not await valid_index(sessions)
    await make_index(sessions)
    assert await valid_index(sessions)


async def test_indexes_made_at_the_same_time_are_one(
    sessions: async_sessionmaker[AsyncSession],
) -> None:
    await fill(sessions)
    async with sessions() as writer:
        await writer.execute(text("LOCK TABLE vector_embeddings IN ROW EXCLUSIVE MODE"))
        making = [asyncio.create_task(make_index(sessions))]
        await waiting(sessions)
        making += [asyncio.create_task(make_index(sessions)) for _ in range(2)]
        await asyncio.sleep(0.3)
    await asyncio.gather(*making)
    assert await valid_index(sessions)


async def test_similarities_renewed_at_the_same_time_do_not_collide(
    sessions: async_sessionmaker[AsyncSession],
) -> None:
    await fill(sessions)

    async def renew() -> int:
        async with sessions.begin() as session:
            pairs = await embeddings.renew_similarities(session, SPACE)
            await asyncio.sleep(0.1)
            return pairs

    pairs = len(CRYSTALS) * (len(CRYSTALS) - 1) // 2
    assert await asyncio.gather(*(renew() for _ in range(3))) == [pairs] * 3
