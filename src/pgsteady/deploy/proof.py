"""What the database held before and holds after, and whether others wrote in between."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from sqlalchemy import Connection, text

from pgsteady.connection import connect
from pgsteady.declarations import Declarations
from pgsteady.finding import Finding, Severity
from pgsteady.progress import Progress
from pgsteady.project import Project
from pgsteady.url import DatabaseUrl
from pgsteady.verify import Evidence, compare, examine, take

_OTHERS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND usename IS NOT NULL AND pid <> pg_backend_pid() AND application_name <> 'pgsteady'"
)


def others_connected(connection: Connection) -> bool:
    """Tell whether somebody could write meanwhile: sessions that are not pgsteady's."""
    return bool(connection.scalar(_OTHERS))


def before(
    project: Project, database: DatabaseUrl, declarations: Declarations, progress: Progress
) -> Evidence:
    """Return what the database holds, and what the declared changes have to make of it."""
    with _snapshot(database) as connection:
        return take(connection, project, changes=declarations.changes, progress=progress)


def after(
    project: Project,
    database: DatabaseUrl,
    earlier: Evidence,
    *,
    quiet: bool,
    progress: Progress,
) -> list[Finding]:
    """Return what is not as it was or as declared, and what does not hold by itself.

    Unless it was ``quiet``, what others wrote in between differs as well: then a
    difference is a warning.
    """
    with _snapshot(database) as connection:
        now = take(connection, project, like=earlier, progress=progress)
        found = examine(connection, project, progress=progress)
    compared = compare(earlier, now)
    return [*(compared if quiet else _doubted(compared)), *found]


def _doubted(findings: Iterable[Finding]) -> Iterator[Finding]:
    for finding in findings:
        if finding.severity is Severity.ERROR:
            yield replace(
                finding,
                severity=Severity.WARNING,
                message=f"{finding.message}; others were connected and may have written it",
            )
        else:
            yield finding


@contextmanager
def _snapshot(database: DatabaseUrl) -> Iterator[Connection]:
    with connect(database) as connection:
        connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            yield connection
