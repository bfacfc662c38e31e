"""One migrator at a time: a polled advisory lock, and the pooler that would break it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from pgsteady.connection import connect
from pgsteady.errors import PoolerInTheWay
from pgsteady.url import DatabaseUrl, resolve_direct

log = logging.getLogger("alembic.pgsteady")

POLL_S = 0.2
KEY = int.from_bytes(sha256(b"pgsteady: schema change").digest()[:8], signed=True)
"""The advisory lock's number; PostgreSQL keeps advisory locks per database."""

AT_WORK = KEY + 1
"""The advisory lock, shared, by which a session is known to be a migrator's."""

OF_LOCK = "of_migration_lock"
"""The execution option by which listeners know the connection that takes the lock."""

_HELD: set[int] = set()
"""The sessions of this program that hold the lock of a database."""

_HOLDER = text(
    "SELECT a.pid, format('pid %s, %s', a.pid, coalesce(host(a.client_addr), 'local')) AS place "
    "FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND (l.classid::bigint << 32 | l.objid::bigint) = :key"
)


@contextmanager
def migration_lock(
    database: DatabaseUrl, tell: Callable[[str], None] = log.info
) -> Iterator[Connection]:
    """Hold the database's migration lock; wait for it as long as another migrator works.

    It is polled on an autocommit connection of its own, which is yielded: a session that
    blocks in ``pg_advisory_lock`` holds a snapshot, and CREATE INDEX CONCURRENTLY in the
    migrator that holds the lock would wait for that snapshot for ever. If this process
    dies, the server releases the lock. A program that holds it has it wherever it asks
    for it again. ``tell`` is told who is waited for.
    """
    with connect(database) as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT", **{OF_LOCK: True})
        waiting = False
        while not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": KEY}):
            holder = connection.execute(_HOLDER, {"key": KEY}).one_or_none()
            if holder and holder.pid in _HELD:
                yield connection
                return
            if not waiting:
                place = holder.place if holder else "unknown"
                tell(f"Another migration is running ({place}); waiting for it to end.")
                waiting = True
            time.sleep(POLL_S)
        pid = connection.scalars(text("SELECT pg_backend_pid()")).one()
        _HELD.add(pid)
        try:
            yield connection
        finally:
            _HELD.discard(pid)


def mark_at_work(connection: Connection) -> None:
    """Let others see that a session, just opened, does a migrator's work.

    The server ends the session of a killed program late, perhaps after an hour's work on an
    index; if nobody holds the migration lock, a session with this mark is such a one.
    """
    raw: Any = connection.connection.dbapi_connection
    raw.autocommit = True
    with raw.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock_shared(%s)", (AT_WORK,))
    raw.autocommit = False


def limit_waits(connection: Connection, lock_timeout_s: float) -> None:
    """Limit each wait for a lock in the transaction that ``connection`` begins.

    It is for the event ``begin``: executing it through ``connection`` before Alembic is
    configured would open a transaction that Alembic takes for its caller's, and commits
    nothing. Outside of transactions there is no limit.
    """
    raw: Any = connection.connection.dbapi_connection
    with raw.cursor() as cursor:
        if raw.autocommit:
            cursor.execute("SET lock_timeout = 0")
        else:
            cursor.execute(f"SET LOCAL lock_timeout = '{lock_timeout_s:g}s'")


def direct(database: DatabaseUrl, ini: Path) -> DatabaseUrl:
    """Return the URL of the server itself: ``DATABASE_URL_DIRECT`` if ``database`` is a pooler.

    Raises:
        PoolerInTheWay: a pooler answers, and no direct URL is given.
    """
    with connect(database) as connection:
        if not _is_pooled(connection):
            return database
    if found := resolve_direct(ini):
        return found
    raise PoolerInTheWay(
        f"A connection pooler answers at {database.address}; between two statements it may give "
        "the connection to another client, and with it the migration's lock.",
        hint="Set DATABASE_URL_DIRECT to the server's own address (or to the same URL, if the "
        "pooler is in session mode).",
    )


def _is_pooled(connection: Connection) -> bool:
    """Tell a pooler by its process id: it makes up the one it sends when a client connects."""
    announced = connection.connection.dbapi_connection.info.backend_pid  # type: ignore[union-attr]
    return bool(announced != connection.scalar(text("SELECT pg_backend_pid()")))
