"""Sessions of programs of ours that are gone, and what keeps its locks for nobody.

A killed program leaves sessions that the server does not end at once: it builds an index to
the end first, and of a cut cable it learns after hours. Such a session is ended only if its
program is gone for certain.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import psutil
from sqlalchemy import Connection, Row, text

from pgsteady.connection import connect
from pgsteady.errors import RepairFailed
from pgsteady.finding import Finding, Severity
from pgsteady.lock import AT_WORK, KEY, mark_at_work
from pgsteady.repair.report import Repair
from pgsteady.url import DatabaseUrl

PATIENCE_S = 10.0
"""How long a session that was ended may take to go."""

_SESSIONS = text("""
    SELECT a.pid, host(a.client_addr) AS host, a.client_port AS port,
           l.keys @> ARRAY[:key] AS migrates, l.keys @> ARRAY[:at_work] AS works
    FROM pg_stat_activity a CROSS JOIN LATERAL (
        SELECT array(SELECT l.classid::bigint << 32 | l.objid::bigint FROM pg_locks l
                     WHERE l.pid = a.pid AND l.database = a.datid AND l.granted
                     AND l.locktype = 'advisory' AND l.objsubid = 1) AS keys) l
    WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
    AND a.backend_type = 'client backend'
    AND (a.application_name = 'pgsteady' OR l.keys && ARRAY[:key, :at_work]) ORDER BY a.pid
""").bindparams(key=KEY, at_work=AT_WORK)
_ME = text("SELECT host(inet_client_addr()), inet_client_port()")
_PREPARED = text(
    "SELECT quote_literal(gid) AS name, owner, prepared FROM pg_prepared_xacts "
    "WHERE database = current_database() ORDER BY prepared"
)


@contextmanager
def at_work(database: DatabaseUrl, *, in_transaction: bool = False) -> Iterator[Connection]:
    """Connect to change something, so that others see it if we are killed at that."""
    with connect(database) as connection:
        mark_at_work(connection)
        connection.execution_options(no_parameters=True)
        if in_transaction:
            with connection.begin():
                yield connection
        else:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            yield connection


def stale(database: DatabaseUrl) -> Iterator[Repair | Finding]:
    """Yield the sessions whose programs are gone, those that hold the migration lock too."""
    with connect(database) as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        for session in connection.execute(_SESSIONS).all():
            gone = _is_gone(connection, session)
            if gone:
                yield _ended(database, session, f"its program, at {session.host}, is gone")
            elif session.migrates and gone is None:
                yield _undecided(session)
        yield from map(_prepared, connection.execute(_PREPARED).all())


def orphans(database: DatabaseUrl) -> Iterator[Repair | Finding]:
    """Yield the sessions of migrators that do not hold the migration lock, for we do.

    They are gone, and it with them; but for one that runs on this computer, which lost it.
    """
    with connect(database) as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        for session in connection.execute(_SESSIONS).all():
            if session.works and session.host and _is_gone(connection, session) is False:
                yield _without_lock(session)
            elif session.works:
                yield _ended(database, session, "its migrator is gone: the migration lock is free")


def _is_gone(connection: Connection, session: Row[Any]) -> bool | None:
    """Tell whether a session's program is gone; None if that cannot be known from here.

    A program at the other end of a unix socket is never gone unnoticed. One on this
    computer would have its end of the connection open still.
    """
    if session.host is None:
        return False
    host, port = connection.execute(_ME).one()
    raw: Any = connection.connection.dbapi_connection
    with socket.socket(fileno=os.dup(raw.fileno())) as ours:
        if ours.getsockname()[:2] != (host, port) or session.host != host:
            return None  # it runs elsewhere, or addresses are translated on the way
    try:
        return not any(
            found.laddr and found.laddr.port == session.port and found.raddr
            for found in psutil.net_connections("tcp")
            if found.status == psutil.CONN_ESTABLISHED
        )
    except psutil.AccessDenied:
        return None


def _ended(database: DatabaseUrl, session: Row[Any], why: str) -> Repair:
    holds = "holds the migration lock" if session.migrates else "is still there"
    return Repair(
        f"session {session.pid}",
        f"It {holds}, and {why}.",
        "end it",
        partial(_end, database, session.pid),
        (f"SELECT pg_terminate_backend({session.pid});",),
    )


def _end(database: DatabaseUrl, pid: int) -> None:
    there = text("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = :pid)")
    deadline = time.monotonic() + PATIENCE_S
    with connect(database) as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        while connection.scalar(there, {"pid": pid}):
            if time.monotonic() > deadline:
                raise RepairFailed(f"Session {pid} does not end.")
            time.sleep(0.05)


def _without_lock(session: Row[Any]) -> Finding:
    return Finding(
        severity=Severity.ERROR,
        code="migrator-without-lock",
        object=f"session {session.pid}",
        message="A migrator works in it, on this computer, that lost the connection by which it "
        "held the migration lock. Nothing of the schema was looked at.",
        cure="Wait for it to end; or, if its work may be lost:",
        sql=f"SELECT pg_terminate_backend({session.pid});",
    )


def _undecided(session: Row[Any]) -> Finding:
    return Finding(
        severity=Severity.WARNING,
        code="migration-lock-held",
        object=f"session {session.pid}",
        message=f"It holds the migration lock for a program at {session.host}, and whether that "
        "still runs is not known here.",
        cure="If it does not run any more:",
        sql=f"SELECT pg_terminate_backend({session.pid});",
    )


def _prepared(row: Row[Any]) -> Finding:
    return Finding(
        severity=Severity.WARNING,
        code="prepared-transaction",
        object=f"prepared transaction {row.name}",
        message=f"{row.owner} prepared it at {row.prepared:%Y-%m-%d %H:%M}; it keeps tables locked "
        "until somebody ends it, and pgsteady prepares none.",
        cure="Commit it where it belongs; or, if its work may be lost:",
        sql=f"ROLLBACK PREPARED {row.name};",
    )
