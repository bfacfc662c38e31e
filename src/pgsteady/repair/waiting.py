"""Whom a repair waits for: building or dropping an index concurrently waits without limit."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Event

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from pgsteady.connection import connect
from pgsteady.deploy.blockers import blockers
from pgsteady.lock import AT_WORK
from pgsteady.progress import Progress
from pgsteady.url import DatabaseUrl

POLL_S = 0.5

_AT_WORK = text(
    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND (classid::bigint << 32 | objid::bigint) = :key"
).bindparams(key=AT_WORK)


@contextmanager
def blockers_named(database: DatabaseUrl, progress: Progress) -> Iterator[None]:
    """Tell ``progress``, as long as the block lasts, who keeps what we do waiting."""
    ended = Event()
    with connect(database) as connection, ThreadPoolExecutor(1) as pool:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        pool.submit(_watch, connection, ended, progress)
        try:
            yield
        finally:
            ended.set()


def _watch(connection: Connection, ended: Event, progress: Progress) -> None:
    named: set[int] = set()
    with suppress(DBAPIError):  # what we do fails too, and says why
        while not ended.wait(POLL_S):
            for blocker in blockers(connection, connection.scalars(_AT_WORK).all()):
                if blocker.pid not in named:
                    named.add(blocker.pid)
                    progress.note(f"Waiting for {blocker}")
