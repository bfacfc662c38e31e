"""Each run of ``upgrade`` on record, so that the next one knows of one that died."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from pgsteady import audit, state
from pgsteady.connection import connect
from pgsteady.deploy.report import Died, Outcome, Report
from pgsteady.errors import EnvironmentFault
from pgsteady.recorder import origin
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
def kept(database: DatabaseUrl, report: Report, folder: Path) -> Iterator[None]:
    """Record the run of ``report``, and at the end of the block how it ended.

    ``folder`` is the project's. If the end cannot be recorded, the next run takes this
    one for dead.

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
            _note_waiver(connection, report, folder)
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


def _note_waiver(connection: Connection, report: Report, folder: Path) -> None:
    """Write to the audit that the rehearsal was waived, and why."""
    heads = list(report.from_revisions)
    audit.append(
        connection,
        audit.Record(
            command=f"upgrade without rehearsal: {report.without_rehearsal}",
            from_revisions=heads,
            to_revisions=list(report.to_revisions),
            heads=heads,
            outcome=audit.NOTICED,
            **origin(folder),
        ),
    )
