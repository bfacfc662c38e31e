"""Maintenance: the application answers "later" and begins nothing, until it is off again.

It is one row of the database, so it survives restarts of everybody, and reaches every
process that uses the database. The application asks with :data:`READABLE` and, if that
is true, :data:`CURRENT`; the channel :data:`CHANNEL` tells it of changes.
"""

from __future__ import annotations

import time
import tomllib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from pgsteady import state
from pgsteady.connection import LOCK_NOT_AVAILABLE, connect, sqlstate
from pgsteady.errors import LockTimeout, ProjectUnreadable, WrongDeclaration
from pgsteady.lock import migration_lock
from pgsteady.progress import SILENT, Progress
from pgsteady.url import DatabaseUrl

REASON = "The database is being upgraded"
RETRY_AFTER_S = 60
CHANNEL = "pgsteady_maintenance"
POLL_S = 0.5
UNDEFINED_TABLE = "42P01"

READABLE = (
    "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = 'pgsteady' AND c.relname = 'maintenance' "
    "AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'))"
)
"""Whether :data:`CURRENT` can be asked: the table is there, and this role may read it."""

CURRENT = "SELECT since, reason, retry_after_s, by FROM pgsteady.maintenance"
"""The one row while maintenance is on, none while it is off."""

_LOCK = text(
    "SET LOCAL lock_timeout = '5s'; LOCK TABLE pgsteady.maintenance IN ACCESS EXCLUSIVE MODE"
)
_ON = text(
    "INSERT INTO pgsteady.maintenance (reason, retry_after_s, by) "
    "VALUES (:reason, :retry_after_s, session_user) ON CONFLICT (only_one) DO UPDATE "
    "SET reason = excluded.reason, retry_after_s = excluded.retry_after_s, by = excluded.by"
)
_OFF = text("DELETE FROM pgsteady.maintenance")
_NOTIFY = text(f"NOTIFY {CHANNEL}")


@dataclass(frozen=True)
class Maintenance:
    """That maintenance is on: since when, why, by whom, and when to ask again."""

    since: datetime
    reason: str
    retry_after_s: int
    by: str


def current(connection: Connection) -> Maintenance | None:
    """Return the maintenance that is on; None if none is, or this role may not know."""
    if not connection.scalar(text(READABLE)):
        return None
    row = connection.execute(text(CURRENT)).one_or_none()
    return Maintenance(*row) if row else None


def on(
    connection: Connection, reason: str = REASON, retry_after_s: int = RETRY_AFTER_S
) -> Maintenance:
    """Switch maintenance on, or change its reason, in the transaction of ``connection``.

    Once that commits, every transaction that saw it off has ended: who reads
    :data:`CURRENT` before claiming work, in one transaction, has claimed it by then.
    :func:`prepare` has made the table.

    Raises:
        StateUnavailable: the role may not.
        LockTimeout: a transaction that asked for maintenance does not end.
    """
    with state.usable(connection):
        try:
            connection.execute(_LOCK)
        except DBAPIError as error:
            if sqlstate(error) != LOCK_NOT_AVAILABLE:
                raise
            raise LockTimeout(
                "Maintenance was not switched on: a transaction that reads it does not end.",
                hint="`doctor` names the transactions that are open.",
            ) from error
        connection.execute(_ON, {"reason": reason, "retry_after_s": retry_after_s})
        connection.execute(_NOTIFY)
    row = connection.execute(text(CURRENT)).one()
    return Maintenance(*row)


def off(connection: Connection) -> bool:
    """Switch maintenance off in the transaction of ``connection``; tell whether it was on.

    Raises:
        StateUnavailable: the role may not.
    """
    if current(connection) is None:
        return False
    with state.usable(connection):
        connection.execute(_OFF)
        connection.execute(_NOTIFY)
    return True


def prepare(database: DatabaseUrl) -> None:
    """Make the table if it is missing, under the migration lock.

    Raises:
        StateUnavailable: the role may not.
    """
    with connect(database) as connection, connection.begin():
        if connection.scalar(text(READABLE)):
            return
    with migration_lock(database), connect(database) as connection, connection.begin():
        state.prepare(connection)


def work_query(ini: Path) -> str | None:
    """Return the SELECT by which the project names what is at work, None if it has none.

    It is ``at_work`` of ``[tool.pgsteady.maintenance]`` in the ``pyproject.toml`` beside
    ``alembic.ini``; the first column of each row is told to people.

    Raises:
        ProjectUnreadable: the file cannot be read.
    """
    file = ini.with_name("pyproject.toml")
    if not file.exists():
        return None
    try:
        tool = tomllib.loads(file.read_text()).get("tool", {})
    except tomllib.TOMLDecodeError as error:
        raise ProjectUnreadable(f"{file}: {error}") from error
    query: str | None = tool.get("pgsteady", {}).get("maintenance", {}).get("at_work")
    return query


def at_work(connection: Connection, query: str) -> list[str]:
    """Return what ``query`` names; nothing where its table is not made yet.

    Raises:
        WrongDeclaration: the server refuses the query.
    """
    try:
        with connection.begin_nested():
            connection.exec_driver_sql("SET TRANSACTION READ ONLY")
            rows = connection.exec_driver_sql(query, execution_options={"no_parameters": True})
            return [str(row[0]) for row in rows]
    except DBAPIError as error:
        if sqlstate(error) == UNDEFINED_TABLE:
            return []
        raise WrongDeclaration(
            f"at_work of [tool.pgsteady.maintenance] in pyproject.toml: {error.orig}"
        ) from error


def wait_until_idle(database: DatabaseUrl, query: str, progress: Progress = SILENT) -> None:
    """Wait until ``query`` names nothing, and tell what it names whenever that changes."""
    told: list[str] = []
    with connect(database) as connection, progress.step("Waiting for what is at work"):
        while True:
            with connection.begin():
                running = at_work(connection, query)
            if not running:
                return
            if running != told:
                progress.note(f"at work: {'; '.join(running)}")
                told = running
            time.sleep(POLL_S)
