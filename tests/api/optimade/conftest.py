"""A database with one public structure of each sort, private ones beside them, and its server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from records import Filling, zoo
from samples import metal, person
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from api.app import create_app


@pytest.fixture
async def filled(sessions: async_sessionmaker[AsyncSession]) -> None:
    """Fill the database of this test."""
    async with sessions() as session:
        filling = Filling(session, await person(session, "rita"))
        book = await filling.cite(
            "On copper", authors=["R. Ita", "H. Ugo"], journal="Acta", year=1999, page_first="3"
        )
        secret = await filling.cite("On what nobody may know", doi="10.1/secret")
        for name, structure in zoo().items():
            cited = book.id if "copper" in name else None
            licence = "CC0-1.0" if cited else None
            await filling.add(structure, name=name, citation_id=cited, licence=licence)
        await filling.add(
            metal("Ag"), name="secret silver", visibility="private", citation_id=secret.id
        )
        await filling.add(
            metal("Cu", cells=3), name="secret copper", visibility="private", citation_id=book.id
        )
        await session.commit()


@pytest.fixture
async def http(filled: None) -> AsyncIterator[httpx.AsyncClient]:
    """A client below /optimade."""
    app = create_app()
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    talking = httpx.AsyncClient(transport=transport, base_url="http://test/optimade/")
    async with app.router.lifespan_context(app), talking:
        yield talking
