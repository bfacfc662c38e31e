"""What anyone may read: nothing else, nothing for long, and nothing is written."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from api.errors import QueryTooSlow
from api.services import published
from pgsteady.url import parse


async def test_a_slow_query_is_stopped_and_said(database: str) -> None:
    engine = create_async_engine(parse(database, "the test").asyncpg())
    with pytest.raises(QueryTooSlow, match=r"0\.05 s"):
        async with published.reading(engine, timeout_s=0.05) as session:
            await session.execute(select(func.pg_sleep(20)))
    async with published.reading(engine, timeout_s=20) as session:
        await session.execute(select(func.pg_sleep(0.06)))
    await engine.dispose()


async def test_nothing_is_written(database: str) -> None:
    engine = create_async_engine(parse(database, "the test").asyncpg())
    with pytest.raises(DBAPIError, match="read-only"):
        async with published.reading(engine, timeout_s=20) as session:
            await session.execute(text("DELETE FROM structures"))
    await engine.dispose()
