"""Which change was rehearsed: the next one is another if anything that matters differs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from alembic.script import Script
from alembic.util import CommandError
from sqlalchemy import Connection, text

from pgsteady import state
from pgsteady.catalog import default_schema
from pgsteady.connection import connect
from pgsteady.errors import RevisionUnknown
from pgsteady.live import read_live
from pgsteady.lock import direct, migration_lock
from pgsteady.project import Project
from pgsteady.rehearse.report import Rehearsal
from pgsteady.scope import Scope
from pgsteady.status import current_revisions

_INSERT = text(
    "INSERT INTO pgsteady.rehearsal (from_revisions, to_revisions, change_sha256, go, report) "
    "VALUES (:from_revisions, :to_revisions, :change, :go, CAST(:report AS jsonb))"
)
_LAST = text(
    "SELECT rehearsed_at, go, report FROM pgsteady.rehearsal WHERE change_sha256 = :change "
    "ORDER BY id DESC LIMIT 1"
)


@dataclass(frozen=True)
class Rehearsed:
    """A rehearsal on record; ``report`` is what :meth:`Rehearsal.as_json` said."""

    rehearsed_at: datetime
    go: bool
    report: dict[str, Any]


def pending(project: Project, current: tuple[str, ...], target: str) -> list[Script]:
    """Return the revisions that an upgrade from ``current`` to ``target`` applies, in order.

    Raises:
        RevisionUnknown: the project has no such target, or no file for what the database has.
    """
    try:
        steps = project.script._upgrade_revs(target, current)  # type: ignore[arg-type]
        return [step.revision for step in steps]
    except CommandError as error:
        raise RevisionUnknown(
            str(error), hint="`alembic history` lists the revisions, `doctor` says what is wrong."
        ) from error


def change_sha256(project: Project, connection: Connection, target: str) -> str:
    """Return by what the change to ``target`` is known.

    It covers what the database has: its revisions, and PostgreSQL's own text of its schema;
    and what is pending: the files of the revisions, in order.

    Raises:
        RevisionUnknown: as :func:`pending`.
        SchemaBusy: another transaction alters a table.
    """
    current = current_revisions(project, connection)
    default = default_schema(connection)
    scope = Scope(project, default)
    schema = scope.of_live(read_live(project, connection, default), scope.schemas_of_models)
    files = [
        (script.revision, hashlib.sha256(Path(script.path).read_bytes()).hexdigest())
        for script in pending(project, current, target)
    ]
    known = [current, sorted((str(key), facts) for key, facts in schema.items()), files]
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def keep(project: Project, rehearsal: Rehearsal) -> None:
    """Record ``rehearsal`` in the project's database.

    The migration lock is taken for it, so the caller must not hold it.

    Raises:
        StateUnavailable: this role may keep no records there.
        EnvironmentFault: the database cannot be reached.
    """
    database = direct(project.database(), project.ini)
    with migration_lock(database), connect(database) as connection, connection.begin():
        state.prepare(connection)
        connection.execute(
            _INSERT,
            {
                "from_revisions": list(rehearsal.from_revisions),
                "to_revisions": list(rehearsal.to_revisions),
                "change": rehearsal.change_sha256,
                "go": rehearsal.go,
                "report": json.dumps(rehearsal.as_json(), default=str),
            },
        )


def last_rehearsal(connection: Connection, change: str) -> Rehearsed | None:
    """Return the last rehearsal of exactly this change, None if there was none.

    Raises:
        StateUnavailable: the role may not read pgsteady's records.
    """
    if not state.exists(connection):
        return None
    with state.usable(connection):
        if connection.scalar(text("SELECT to_regclass('pgsteady.rehearsal')")) is None:
            return None  # made by a pgsteady that did not rehearse
        row = connection.execute(_LAST, {"change": change}).one_or_none()
    return Rehearsed(row.rehearsed_at, row.go, row.report) if row else None
