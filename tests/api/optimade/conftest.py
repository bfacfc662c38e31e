"""A database with one public structure of each sort, private ones beside them, and its server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from records import Filling, zoo
from samples import metal, person
from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from api.app import create_app
from api.db import database_url
from pgsteady.url import parse


@pytest.fixture(scope="module")
async def public_and_private(migrated: Callable[[str], str]) -> str:
    """The URL of a database that every test of a module reads."""
    url = migrated("of_optimade")
    engine = create_async_engine(parse(url, "the test").asyncpg(), poolclass=NullPool)
    async with AsyncSession(engine, expire_on_commit=False) as session:
        filling = Filling(session, await person(session, "rita"))
        book = await filling.cite(
            title="On copper",
            authors=["R. Ita", "H. Ugo"],
            journal="Acta",
            year=1999,
            page_first="3",
        )
        secret = await filling.cite(title="On what nobody may know", doi="10.1/secret")
        for name, structure in zoo().items():
            cited = book.id if "copper" in name else None
            licence = "CC0-1.0" if cited else None
            await filling.add(structure, name=name, citation_id=cited, licence=licence)
        private = {"visibility": "private"}
        await filling.add(metal("Ag"), name="secret silver", citation_id=secret.id, **private)
        await filling.add(
            metal("Cu", cells=3), name="secret copper", citation_id=book.id, **private
        )
        await session.commit()
    await engine.dispose()
    return url


@pytest.fixture(scope="module")
async def http(public_and_private: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client below /optimade."""
    app = create_app()
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    talking = httpx.AsyncClient(transport=transport, base_url="http://test/optimade/")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DATABASE_URL", public_and_private)
        database_url.cache_clear()
        async with app.router.lifespan_context(app), talking:
            yield talking
    database_url.cache_clear()


@pytest.fixture
async def private_ids(public_and_private: str) -> AsyncIterator[list[tuple[object, object]]]:
    """The identifiers of the private structures and of what they cite."""
    engine: AsyncEngine = create_async_engine(
        parse(public_and_private, "the test").asyncpg(), poolclass=NullPool
    )
    async with engine.connect() as connection:
        found = await connection.execute(
            text("SELECT id, citation_id FROM structures WHERE visibility = 'private'")
        )
        yield [(row.id, row.citation_id) for row in found]
    await engine.dispose()
