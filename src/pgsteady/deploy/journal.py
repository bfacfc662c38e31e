"""Each run of ``upgrade`` on record, so that the next one knows of one that died."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from pgsteady import audit, state
from pgsteady.connection import connect
from pgsteady.deploy.report import Died, Outcome, Report
from pgsteady.deploy.retrying import Step
from pgsteady.errors import EnvironmentFault
from pgsteady.project import Project
from pgsteady.recorder import origin
from pgsteady.status import current_revisions
from pgsteady.url import DatabaseUrl

_TABLE = text("SELECT to_regclass('pgsteady.upgrade')")
_OPEN = text(
    "SELECT started_at, from_revisions, to_revisions, backup FROM pgsteady.upgrade "
    "WHERE ended_at IS NULL ORDER BY id"
)
_SETTLE = text(
    "UPDATE pgsteady.upgrade SET ended_at = now(), outcome = :outcome WHERE ended_at IS NULL"
)
_BEGIN = text(
    "INSERT INTO pgsteady.upgrade (from_revisions, to_revisions, backup, without_rehearsal) "
    "VALUES (:from_revisions, :to_revisions, :backup, :without_rehearsal) RETURNING id"
)
_END = text(
    "UPDATE pgsteady.upgrade SET ended_at = now(), outcome = :outcome, "
    "report = CAST(:report AS jsonb) WHERE id = :id"
)


def settle(database: DatabaseUrl) -> list[Died]:
    """Return the runs that died, and note that they did; the caller holds the migration lock.

    Raises:
        StateUnavailable: the role may not.
    """
    with connect(database) as connection, connection.begin():
        if not state.exists(connection):
            return []
        with state.usable(connection):
            if connection.scalar(_TABLE) is None:
                return []
            rows = connection.execute(_OPEN).all()
            if rows:
                connection.execute(_SETTLE, {"outcome": Outcome.DIED})
    return [Died(row[0], tuple(row[1]), tuple(row[2]), row[3]) for row in rows]


@contextmanager
def kept(database: DatabaseUrl, report: Report, project: Project) -> Iterator[None]:
    """Record the run of ``report``, and at the end of the block how it ended.

    If the end cannot be recorded, the next run takes this one for dead.

    Raises:
        StateUnavailable: the role may not.
    """
    with connect(database) as connection, connection.begin(), state.usable(connection):
        said = {
            "from_revisions": list(report.from_revisions),
            "to_revisions": list(report.to_revisions),
            "backup": str(report.backup),
            "without_rehearsal": report.without_rehearsal,
        }
        id_ = connection.scalars(_BEGIN, said).one()
        if report.without_rehearsal is not None:
            _note_outside(connection, project, report.from_revisions)
            heads, to = list(report.from_revisions), list(report.to_revisions)
            waiver = f"upgrade without rehearsal: {report.without_rehearsal}"
            _note(connection, project, waiver, heads, to, heads=heads)
    try:
        yield
    finally:
        document = json.dumps(report.as_json(), default=str)
        ended = {"id": id_, "outcome": report.outcome, "report": document}
        with (
            suppress(EnvironmentFault, DBAPIError),
            connect(database) as connection,
            connection.begin(),
        ):
            connection.execute(_END, ended)


def audit_step(
    database: DatabaseUrl, project: Project, step: Step, before: tuple[str, ...]
) -> None:
    """Write the last attempt at ``step`` to the audit, where ``env.py`` does not.

    ``before`` is what the version table named. A server that is gone takes no record.
    """
    if project.on_our_env:
        return
    tried = step.attempts[-1]
    script = project.script.get_revision(step.revision)
    with (
        suppress(EnvironmentFault, DBAPIError),
        connect(database) as connection,
        connection.begin(),
        state.usable(connection),
    ):
        heads = list(current_revisions(project, connection))
        _note_outside(connection, project, before)
        record = audit.Record(
            command="upgrade",
            from_revisions=sorted(script._all_down_revisions),
            to_revisions=[step.revision],
            heads=heads,
            outcome=audit.DONE if step.done else audit.FAILED,
            error=tried.sqlstate or (type(tried.error).__name__ if tried.error else None),
            duration_ms=round(tried.seconds * 1000),
            file_sha256=hashlib.sha256(Path(script.path).read_bytes()).hexdigest(),
            **origin(project.ini.parent),
        )
        audit.append(connection, record)


def _note_outside(connection: Connection, project: Project, now: tuple[str, ...]) -> None:
    """Note a change that passed the audit by, if there was one."""
    known, heads = audit.last_heads(connection), list(now)
    if known != heads:
        _note(connection, project, audit.OUTSIDE, known, heads, heads=heads)


def _note(
    connection: Connection,
    project: Project,
    command: str,
    from_revisions: list[str],
    to_revisions: list[str],
    *,
    heads: list[str],
) -> None:
    record = audit.Record(
        command=command,
        from_revisions=from_revisions,
        to_revisions=to_revisions,
        heads=heads,
        outcome=audit.NOTICED,
        **origin(project.ini.parent),
    )
    audit.append(connection, record)
