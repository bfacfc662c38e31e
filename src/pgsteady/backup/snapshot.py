"""One moment of a database, held open for all who read it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg2.errorcodes import UNDEFINED_TABLE
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from pgsteady.backup.refusal import blockers, refused
from pgsteady.connection import LOCK_NOT_AVAILABLE, connect, sqlstate
from pgsteady.errors import SchemaBusy
from pgsteady.progress import Progress
from pgsteady.url import DatabaseUrl

PATIENCE_S = 60.0
"""Longest wait for a table that somebody alters."""
_TRY_S = 2

_TABLES = text("""
    SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                    AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY 1
""")
_UNLIMITED = text("""
    SELECT name FROM pg_settings WHERE name IN ('statement_timeout', 'transaction_timeout',
    'idle_in_transaction_session_timeout', 'idle_session_timeout')
""")


@contextmanager
def snapshot(database: DatabaseUrl, progress: Progress) -> Iterator[tuple[Connection, str]]:
    """Hold one moment of the database in a transaction; yields it, and the snapshot's name.

    No table can be altered meanwhile; rows can.

    Raises:
        SchemaBusy: somebody alters a table; the message says who.
        BackupFailed: this role may not read a table.
    """
    with connect(database) as connection:
        with connection.begin():
            unlimited = connection.scalars(_UNLIMITED).all()
        connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        _lock_tables(connection, database, progress)
        try:
            for name in unlimited:
                connection.exec_driver_sql(f"SET LOCAL {name} = 0")
            yield connection, connection.scalars(text("SELECT pg_export_snapshot()")).one()
        finally:
            connection.rollback()


def _lock_tables(connection: Connection, database: DatabaseUrl, progress: Progress) -> None:
    """Begin a transaction with a lock on every table that only those conflict with who alter it.

    Its snapshot is taken afterwards, so that it shows each table as it then stays.
    """
    deadline, named = time.monotonic() + PATIENCE_S, ""
    while True:
        who = _blocked_by(connection, database)
        if who is None:
            return
        if who != named:
            progress.note(f"Waiting for {who}.")
            named = who
        if time.monotonic() > deadline:
            raise SchemaBusy(
                f"A table is being altered for more than {PATIENCE_S:g} s: {who}.",
                hint="Run the command again when that has ended.",
            )


def _blocked_by(connection: Connection, database: DatabaseUrl) -> str | None:
    """Lock all tables; if that does not succeed, say who is in the way."""
    with connect(database) as observer, observer.begin():
        tables = observer.scalars(_TABLES).all()
    connection.begin()
    try:
        # No query yet: it would take the snapshot.
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_TRY_S}s'")
        if tables:
            connection.exec_driver_sql(f"LOCK TABLE {', '.join(tables)} IN ACCESS SHARE MODE")
    except DBAPIError as error:
        connection.rollback()
        if sqlstate(error) == LOCK_NOT_AVAILABLE:
            return blockers(database)
        if sqlstate(error) == UNDEFINED_TABLE:
            return "whoever dropped a table just now"
        raise refused(str(error.orig), database) from error
    connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
    return None
