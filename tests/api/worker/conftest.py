"""Queues for workers that run beside the test, and their database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import psycopg2.extras
import pytest
from samples import stored, submitted
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from api.models import User
from api.services.users import local_owner
from pgsteady.url import parse

QUICK = {"points_per_side": 2}

Query = Callable[..., list[dict[str, Any]]]


@pytest.fixture
async def owner(sessions: async_sessionmaker[AsyncSession]) -> User:
    async with sessions.begin() as session:
        return await local_owner(session)


@pytest.fixture(autouse=True)
def lively(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers look at the queue often, so that tests do not wait."""
    monkeypatch.setenv("NANO_OS_POLL_S", "0.1")


@pytest.fixture
def query(database: str) -> Iterator[Query]:
    connection = psycopg2.connect(parse(database, "the test").libpq())
    connection.autocommit = True

    def run(statement: str, *values: object) -> list[dict[str, Any]]:
        with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
            cursor.execute(statement, values)
            return [dict(row) for row in cursor.fetchall()] if cursor.description else []

    yield run
    connection.close()


@pytest.fixture
def queue_up(sessions: async_sessionmaker[AsyncSession], owner: User) -> Callable[..., Any]:
    """Queue one job for each structure, in this order."""

    async def run(*structures: Any, parameters: dict[str, Any] = QUICK) -> None:
        async with sessions.begin() as session:
            ids = await stored(session, owner, *structures)
            await submitted(session, owner, *ids, parameters=parameters)

    return run
