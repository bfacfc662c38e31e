"""A worker's presence in the database: the lock that says it lives, and what it hears.

A worker goes on when the database is away: what it runs runs on, what it has to store waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from api.db import Sessions, database_url, retried
from api.services import queue
from api.services.simulations import QUEUE_CHANNEL
from pgsteady.errors import PgSteadyError
from pgsteady.maintenance import CHANNEL

RETRY_S = 1.0
AWAY = ("08", "53", "57P")
"""Connection exceptions, insufficient resources (a full disk among them), and a server that stops
or starts (PostgreSQL, appendix A)."""
FAULTS = (DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, PgSteadyError)

T = TypeVar("T")


class Presence:
    """Holds the worker's advisory lock ``number`` on a session of its own, made anew when lost.

    ``woken`` is called when there may be something to claim or to mind, ``returned`` before
    anything else is done in a database that is back, and ``note`` is told in words when it goes
    and comes.
    """

    def __init__(
        self,
        sessions: Sessions,
        number: int,
        *,
        woken: Callable[[], None],
        returned: Callable[[AsyncSession], Awaitable[None]],
        note: Callable[[str], None],
    ) -> None:
        self._sessions = sessions
        self._number = number
        self._woken = woken
        self._returned = returned
        self._note = note
        self._here = asyncio.Event()

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Be present as long as the context lasts; raises where that is not possible at first."""
        arrived: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        keeper = asyncio.create_task(self._keep(arrived))
        try:
            await arrived
            yield
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

    @property
    def is_here(self) -> bool:
        """Whether the database is."""
        return self._here.is_set()

    async def do(self, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
        """Do ``work`` in a transaction, again for as long as the database is away.

        Where it went away during the commit, what was done once may be done twice.
        """
        while True:
            await self._here.wait()
            try:
                return await retried(self._sessions, work)
            except FAULTS as error:
                if not _is_away(error):
                    raise
            await asyncio.sleep(RETRY_S)

    async def _keep(self, arrived: asyncio.Future[None]) -> None:
        told = ""
        while True:
            why = "it ended the worker's session"
            try:
                async with self._session() as lost:
                    if arrived.done():
                        await self._return()
                        self._note("The database is back.")
                    else:
                        arrived.set_result(None)
                    told = ""
                    self._here.set()
                    self._woken()
                    await lost.wait()
            except FAULTS as error:
                if not arrived.done():
                    arrived.set_exception(error)
                    return
                why = str(error).partition("\n")[0]
            self._here.clear()
            if not told:
                self._note(f"The database is away ({why}). What runs goes on; results wait.")
            told = why
            await asyncio.sleep(RETRY_S)
            with suppress(PgSteadyError, OSError):
                await asyncio.to_thread(_seek_again)

    async def _return(self) -> None:
        async with self._sessions.begin() as session:
            await self._returned(session)

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[asyncio.Event]:
        """Hold the lock and listen; the event is set when the session is lost."""
        lost = asyncio.Event()

        def cut_off(*_: object) -> None:
            lost.set()

        def notified(*_: object) -> None:
            self._woken()

        async with self._sessions() as session:
            connection = await session.connection(
                execution_options={"isolation_level": "AUTOCOMMIT"}
            )
            key = {"lock_class": queue.WORKER_LOCK_CLASS, "number": self._number}
            await connection.execute(_END_FORMER, key)
            await connection.execute(_LOCK, key)
            driver: Any = (await connection.get_raw_connection()).driver_connection
            await driver.add_listener(QUEUE_CHANNEL, notified)
            await driver.add_listener(CHANNEL, notified)
            driver.add_termination_listener(cut_off)
            try:
                yield lost
            finally:
                driver.remove_termination_listener(cut_off)
                await connection.invalidate()  # the session ends, and its lock with it


def _seek_again() -> None:
    """Find the database anew: the embedded one is started where it stopped."""
    database_url.cache_clear()
    database_url()


def _is_away(error: Exception) -> bool:
    if isinstance(error, OSError | PgSteadyError | asyncpg.InterfaceError):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    cause = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(cause, "sqlstate", None) or "").startswith(AWAY)


_LOCK = text("SELECT pg_advisory_lock(:lock_class, :number)")

# A session that the server does not yet know to be lost would still hold the lock.
_END_FORMER = text("""
SELECT pg_terminate_backend(pid) FROM pg_locks
WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND pid <> pg_backend_pid()
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND classid = :lock_class AND objid = :number
""")
