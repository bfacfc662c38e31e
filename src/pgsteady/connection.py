"""Connections of schema change, and its failures in words that name the next step."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg2
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError, ObjectNotExecutableError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from pgsteady.errors import (
    AuthenticationFailed,
    DatabaseMissing,
    EnvironmentFault,
    ExtensionMissing,
    LockTimeout,
    PgSteadyError,
    RevisionFailed,
    ServerUnreachable,
)
from pgsteady.url import DatabaseUrl

CONNECT_TIMEOUT_S = 10

LOCK_NOT_AVAILABLE = "55P03"
"""https://www.postgresql.org/docs/current/errcodes-appendix.html"""


@contextmanager
def connect(database: DatabaseUrl) -> Iterator[Connection]:
    """Open one connection of its own, and close it afterwards.

    Raises:
        EnvironmentFault: the server, the database or the password is not as needed, or
            the connection was lost while it was used.
    """
    arguments = {"connect_timeout": CONNECT_TIMEOUT_S} | dict(database.url.query)
    engine = create_engine(
        database.psycopg2("pgsteady"),
        poolclass=NullPool,
        pool_reset_on_return=None,  # it is closed: the server rolls back, or is gone
        connect_args={"connect_timeout": arguments["connect_timeout"]},
    )
    try:
        connection = engine.connect()
    except OperationalError as error:
        raise not_connected(cause_of(error), database) from error
    try:
        yield connection
    except (SQLAlchemyError, psycopg2.OperationalError) as error:
        # That of the loss, by SQLAlchemy or a cursor of our own; or of going on after it.
        if not _lost(connection):
            raise
        cause = f": {cause_of(error)}" if isinstance(error, DBAPIError) else ""
        raise ServerUnreachable(
            f"The connection to PostgreSQL at {database.address} was lost{cause}.",
            hint="What was not committed is undone. When the server is up again, `repair` "
            "says what is half done, and the command can be run again.",
        ) from error
    finally:
        with suppress(DBAPIError):  # there is nothing to roll back on a server that is gone
            connection.close()


def _lost(connection: Connection) -> bool:
    if connection.closed:
        return False
    raw: Any = None if connection.invalidated else connection.connection.dbapi_connection
    return raw is None or bool(raw.closed)


def sqlstate(error: BaseException) -> str | None:
    """Return the server's code of what caused ``error``, whichever driver raised it.

    None if it was not the server.
    """
    cause: BaseException | None = error
    while cause is not None:
        code = getattr(cause, "pgcode", None) or getattr(cause, "sqlstate", None)
        if code is not None:
            return str(code)
        cause = cause.__cause__
    return None


def not_connected(cause: str, database: DatabaseUrl) -> EnvironmentFault:
    """Say why ``database`` cannot be reached, from any driver's words, and the next step."""
    url, where = database.url, f"at {database.address}"
    if re.search(r'database "[^"]*" does not exist', cause):
        return DatabaseMissing(
            f'The server {where} has no database "{url.database}".',
            hint=f'An administrator creates it: CREATE DATABASE "{url.database}" '
            f'OWNER "{url.username}";  (the URL comes from {database.source})',
        )
    if re.search(r"authentication|no password supplied|role .* does not exist|pg_hba", cause):
        return AuthenticationFailed(
            f'The server {where} refused the user "{url.username}": {cause}.',
            hint=f"Correct the user name or password in {database.source}; "
            "% @ / : ? and # in a password are safest percent-encoded.",
        )
    return ServerUnreachable(
        f"PostgreSQL cannot be reached {where}: {cause}.",
        hint=f"Start the server, or correct the address in {database.source}.",
    )


def revision_failure(
    error: DBAPIError | ObjectNotExecutableError, database: DatabaseUrl
) -> PgSteadyError:
    """Say what stopped a revision: cause, place in the revision's file, next step."""
    if isinstance(error, ObjectNotExecutableError):
        return RevisionFailed(
            f"{_place(error)}: a connection executes no bare string.",
            hint='Wrap the statement: connection.execute(sa.text("…")).',
        )
    where, cause = _place(error), cause_of(error)
    if missing := _missing_extension(where, cause, database.url.database):
        return missing
    if error.connection_invalidated:
        return ServerUnreachable(
            f"{where}: the connection to the server broke.",
            hint="What it had not committed is undone; `alembic current` says where it stands.",
        )
    if sqlstate(error) == LOCK_NOT_AVAILABLE:
        return LockTimeout(
            f"{where}: another transaction holds a lock that this revision needs ({cause}).",
            hint="It was rolled back. Run the command again when the database is quieter.",
        )
    return RevisionFailed(
        f"{where}: {cause}.",
        hint="It was rolled back, except for what it ran in an autocommit block; "
        "`alembic --raiseerr …` shows the whole traceback.",
    )


def _missing_extension(where: str, cause: str, database: str | None) -> ExtensionMissing | None:
    """Say what to do if ``cause`` is that an extension is not there."""
    if found := re.search(r'permission denied to create extension "(\w+)"', cause):
        return _extension_missing("This role may not create it.", found[1], database)
    if re.search(r'type "(vector|halfvec|sparsevec)" does not exist', cause):
        return _extension_missing(f"{where}: {cause}.", "vector", database)
    if found := re.search(r'extension "(\w+)" is not available', cause):
        return ExtensionMissing(
            f'The extension "{found[1]}" is not installed on the server.',
            hint="An administrator installs its package there (for vector: "
            "postgresql-<major>-pgvector); then run the command again.",
        )
    return None


def _extension_missing(reason: str, extension: str, database: str | None) -> ExtensionMissing:
    return ExtensionMissing(
        f'The database has no extension "{extension}". {reason}',
        hint=f'An administrator runs once, in database "{database}": '
        f"CREATE EXTENSION IF NOT EXISTS {extension};",
    )


def cause_of(error: DBAPIError) -> str:
    """Cut libpq's and SQLAlchemy's text down to the server's own words."""
    if primary := getattr(getattr(error.orig, "diag", None), "message_primary", None):
        return str(primary)
    # A connection's failure: one line for each address tried, and advice on further lines.
    tried = re.findall(r"(?:failed: |FATAL: )(?:FATAL: )? *(.*)", str(error.orig))
    first, *_ = str(error.orig).strip().split("\n")
    cause: str = [first or "no reason given", *tried][-1]
    return cause.rstrip(".")


def _place(error: Exception) -> str:
    """Name the revision and the line of its file in which ``error`` arose."""
    for frame, line in traceback.walk_tb(error.__traceback__):
        module = frame.f_globals
        if "down_revision" in module and "revision" in module:
            return f"{module['revision']} failed ({module['__file__']}, line {line})"
    return "The command failed"
