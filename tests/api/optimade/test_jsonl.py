"""OPTIMADE's JSON Lines say what the endpoints say."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from optimade.models import EntryInfoResource, ReferenceResource, StructureResource
from sqlalchemy import NullPool, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from api.export import target, write, writer_for
from api.models import Structure
from api.schemas.search import Query
from nanoos.parsers import read
from nanoos.structures import fingerprint
from pgsteady.url import parse


@pytest.fixture
async def reading(public_and_private: str) -> AsyncIterator[AsyncSession]:
    """A session on the database that the endpoints show."""
    engine = create_async_engine(
        parse(public_and_private, "the test").asyncpg(), poolclass=NullPool
    )
    async with AsyncSession(engine) as session:
        yield session
    await engine.dispose()


async def test_lines_are_those_of_the_endpoints(
    http: httpx.AsyncClient, reading: AsyncSession, tmp_path: Path
) -> None:
    path = tmp_path / "all.optimade.jsonl"
    with target(path, writer_for(path), several=True) as add:
        report = await write(reading, Query(visibility="public"), add)
    assert report.skipped == []
    header, meta, base, *others = map(json.loads, path.read_text().splitlines())
    assert header["x-optimade"]["api_version"] == meta["meta"]["api_version"]
    assert (base["type"], base["id"]) == ("info", "/")
    answered = (await http.get("v1/structures?page_limit=100")).json()["data"]
    structures = [one for one in others if one["type"] == "structures"]
    assert report.written == len(structures) == len(answered)
    for one in structures:
        StructureResource(**one)
    assert by_id(structures) == by_id(answered)
    (cited,) = [one for one in others if one["type"] == "references"]
    ReferenceResource(**cited)
    assert [one["id"] for one in others if one["type"] == "info"] == ["references", "structures"]
    for info in others[:2]:
        EntryInfoResource(**info)


async def test_they_are_imported_as_the_same(
    http: httpx.AsyncClient, reading: AsyncSession, tmp_path: Path
) -> None:
    path = tmp_path / "all.optimade.jsonl.gz"
    with target(path, writer_for(path), several=True) as add:
        await write(reading, Query(is_ordered=True), add)
        stored = set(
            await reading.scalars(select(Structure.fingerprint).where(Structure.is_ordered))
        )
    assert {fingerprint(one.structure) for one in read(path)} == stored


def by_id(entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {one["id"]: (one["attributes"], cited(one)) for one in entries}


def cited(entry: dict[str, Any]) -> list[str]:
    found = (entry.get("relationships") or {}).get("references", {}).get("data", [])
    return [reference["id"] for reference in found]
