"""pgsteady's own tables: schema ``pgsteady`` of each database that it changes.

They are made when first needed and brought up to date here, not by the project's
revisions; no comparison of a project with its database sees them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from pgsteady.errors import StateUnavailable

_CHANGES = (
    """
    CREATE TABLE pgsteady.audit (
        number bigint PRIMARY KEY,
        command text NOT NULL,
        from_revisions text[] NOT NULL,
        to_revisions text[] NOT NULL,
        heads text[] NOT NULL,
        outcome text NOT NULL,
        error text,
        started_at timestamptz NOT NULL,
        duration_ms bigint NOT NULL,
        database_user text NOT NULL,
        os_user text NOT NULL,
        host text NOT NULL,
        code text,
        git_revision text,
        sql_sha256 text,
        file_sha256 text,
        previous_hash text NOT NULL UNIQUE,
        hash text NOT NULL
    )
    """,
    """
    CREATE TABLE pgsteady.rehearsal (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        rehearsed_at timestamptz NOT NULL DEFAULT now(),
        from_revisions text[] NOT NULL,
        to_revisions text[] NOT NULL,
        change_sha256 text NOT NULL,
        go boolean NOT NULL,
        report jsonb NOT NULL
    )
    """,
    """
    CREATE TABLE pgsteady.upgrade (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        started_at timestamptz NOT NULL DEFAULT now(),
        ended_at timestamptz,
        from_revisions text[] NOT NULL,
        to_revisions text[] NOT NULL,
        backup text,
        without_rehearsal text,
        outcome text,
        report jsonb
    )
    """,
    """
    CREATE TABLE pgsteady.maintenance (
        only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
        since timestamptz NOT NULL DEFAULT now(),
        reason text NOT NULL,
        retry_after_s integer NOT NULL CHECK (retry_after_s > 0),
        by text NOT NULL
    );
    GRANT USAGE ON SCHEMA pgsteady TO PUBLIC;
    GRANT SELECT ON pgsteady.maintenance TO PUBLIC
    """,  # an application may run as another role than migrates
)
"""What each version of the state adds to the one before; entries are never changed."""

_MAY_WRITE = text(
    "SELECT bool_and(has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT'))"
    " FROM pg_class c WHERE c.relnamespace = 'pgsteady'::regnamespace AND c.relkind = 'r'"
)

_GRANT = text(
    "SELECT CASE WHEN n.oid IS NULL THEN format('GRANT CREATE ON DATABASE %I TO %I;', d, u) "
    "ELSE format('GRANT USAGE ON SCHEMA pgsteady TO %1$I; GRANT SELECT, INSERT ON ALL TABLES "
    "IN SCHEMA pgsteady TO %1$I; "
    "GRANT UPDATE, DELETE ON pgsteady.upgrade, pgsteady.maintenance TO %1$I;', u) END "
    "FROM (VALUES (current_database(), current_user)) AS who (d, u) "
    "LEFT JOIN pg_namespace n ON n.nspname = 'pgsteady'"
)


def exists(connection: Connection) -> bool:
    """Tell whether pgsteady ever kept anything in this database."""
    found = text("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'pgsteady')")
    return bool(connection.scalar(found))


def prepare(connection: Connection) -> None:
    """Make pgsteady's tables, or bring them up to date, in the transaction of ``connection``.

    The caller holds the migration lock.

    Raises:
        StateUnavailable: the role may not; the transaction can go on.
    """
    with usable(connection):
        _update(connection)
        if not connection.scalar(_MAY_WRITE):
            raise _unusable(connection, "its tables may not be written to")


@contextmanager
def usable(connection: Connection) -> Iterator[None]:
    """Use pgsteady's tables in the block, whose failure undoes the block alone.

    Raises:
        StateUnavailable: the role may not, or they are not what they should be.
    """
    try:
        with connection.begin_nested():
            yield
    except ProgrammingError as error:
        cause = getattr(getattr(error.orig, "diag", None), "message_primary", str(error.orig))
        raise _unusable(connection, cause) from error


def _update(connection: Connection) -> None:
    if not exists(connection):
        connection.execute(text("CREATE SCHEMA pgsteady"))
        connection.execute(text("CREATE TABLE pgsteady.state (version int NOT NULL)"))
        connection.execute(text("INSERT INTO pgsteady.state VALUES (0)"))
    version = connection.scalar(text("SELECT version FROM pgsteady.state")) or 0
    if version > len(_CHANGES):
        raise StateUnavailable("Schema pgsteady was made by a newer pgsteady.")
    for change in _CHANGES[version:]:
        connection.execute(text(change))
    if version < len(_CHANGES):
        new = {"version": len(_CHANGES)}
        connection.execute(text("UPDATE pgsteady.state SET version = :version"), new)


def _unusable(connection: Connection, cause: str) -> StateUnavailable:
    return StateUnavailable(
        f"Schema pgsteady cannot be made or used: {cause}.",
        hint=f"An administrator runs once, in this database: {connection.scalar(_GRANT)}",
    )
