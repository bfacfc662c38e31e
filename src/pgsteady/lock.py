"""One migrator at a time: a polled advisory lock, and the pooler that would break it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from sqlalchemy import Connection, text

from pgsteady.connection import connect
from pgsteady.errors import PoolerInTheWay
from pgsteady.url import DatabaseUrl, resolve_direct

log = logging.getLogger("alembic.pgsteady")

POLL_S = 0.2
KEY = int.from_bytes(sha256(b"pgsteady: schema change").digest()[:8], signed=True)
"""The advisory lock's number; PostgreSQL keeps advisory locks per database."""

_HOLDER = text(
    "SELECT format('pid %s, %s', a.pid, coalesce(host(a.client_addr), 'local')) "
    "FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND (l.classid::bigint << 32 | l.objid::bigint) = :key"
)


@contextmanager
def migration_lock(database: DatabaseUrl) -> Iterator[None]:
    """Hold the database's migration lock; wait for it as long as another migrator works.

    It is polled on an autocommit connection of its own: a session that blocks in
    ``pg_advisory_lock`` holds a snapshot, and CREATE INDEX CONCURRENTLY in the migrator
    that holds the lock would wait for that snapshot for ever. If this process dies, the
    server releases the lock.
    """
    with connect(database) as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        waiting = False
        while not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": KEY}):
            if not waiting:
                holder = connection.scalar(_HOLDER, {"key": KEY}) or "unknown"
                log.info("Another migration is running (%s); waiting for it to end.", holder)
                waiting = True
            time.sleep(POLL_S)
        yield


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
