"""Two transactions of which one does its work in the middle of the other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

Sessions = async_sessionmaker[AsyncSession]
Work = Callable[[AsyncSession], Awaitable[Any]]

_WAITING = """
CREATE FUNCTION waiting() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN
    IF current_setting('test.passes', true) IS DISTINCT FROM 'on' THEN
        PERFORM pg_advisory_xact_lock(77);
    END IF;
    RETURN NULL;
END $$
"""
_WAITS = """
CREATE TRIGGER waits AFTER INSERT ON {} FOR EACH STATEMENT EXECUTE FUNCTION waiting()
"""


async def done_while(
    sessions: Sessions, work: Coroutine[Any, Any, Any], table: str, other: Work
) -> None:
    """Do ``work``, and ``other`` in a transaction right after what it inserts into a table.

    Where one has to wait for the other it does.
    """
    async with sessions.begin() as session:
        await session.execute(text(_WAITING))
        await session.execute(text(_WAITS.format(table)))

    async def pass_by(session: AsyncSession) -> None:
        await session.execute(text("SET LOCAL test.passes = 'on'"))
        await other(session)

    async with sessions.begin() as holder:
        await holder.execute(text("SELECT pg_advisory_xact_lock(77)"))
        working = asyncio.create_task(work)
        await _until_waiting(sessions, working, n=1)
        passing = asyncio.create_task(in_transaction(sessions, pass_by))
        await _until_waiting(sessions, passing, n=2)
    await asyncio.gather(working, passing)


async def in_transaction(sessions: Sessions, work: Work) -> None:
    """Do something in one transaction, once."""
    async with sessions.begin() as session:
        await work(session)


async def _until_waiting(sessions: Sessions, task: asyncio.Task[Any], n: int) -> None:
    """Return when as many wait for a lock, or the task is done."""
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    async with sessions() as watcher:
        while not task.done() and (await watcher.scalar(waiting) or 0) < n:
            await asyncio.sleep(0.01)
