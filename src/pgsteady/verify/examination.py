"""What has to hold of a database by itself, whatever it held before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from pgsteady.declarations import declared_by
from pgsteady.finding import Finding, Severity
from pgsteady.progress import SILENT, Progress
from pgsteady.project import Project
from pgsteady.status import Status, read_status
from pgsteady.verify.counters import counters
from pgsteady.verify.digest import QUALIFIED, WITHOUT_INDEXES, aside, query, said_by, settings
from pgsteady.verify.further import further
from pgsteady.verify.indexes import indexes
from pgsteady.verify.plans import NOT_THERE_YET, unplannable
from pgsteady.verify.references import references
from pgsteady.verify.rows import rows
from pgsteady.verify.switches import switches
from pgsteady.verify.uniqueness import duplicates, overlaps


def examine(
    connection: Connection, project: Project, *, progress: Progress = SILENT
) -> list[Finding]:
    """Return what does not hold now, in the snapshot of the caller's transaction.

    Every row is read and every constraint is evaluated anew, without the indexes, triggers
    and records by which PostgreSQL takes it to hold. Nothing is written and no setting of the
    transaction stays changed.

    Raises:
        WrongDeclaration: a further check cannot be loaded.
    """
    with aside(connection):
        status = read_status(project, connection)
        with settings(connection, QUALIFIED):
            with settings(connection, WITHOUT_INDEXES):
                found = [
                    *rows(connection, progress),
                    *references(connection, progress),
                    *duplicates(connection, progress),
                    *counters(connection),
                ]
            found += overlaps(connection)
            found += indexes(connection, progress)
            found += switches(connection)
        declarations = declared_by(project, status.current)
        with progress.step("Evaluating invariants and further checks"):
            found += _invariants(connection, declarations.invariants, status)
            found += unplannable(connection, declarations.hot_queries, at_head=status.at_head)
            found += further(connection, project)
    return found


def _invariants(
    connection: Connection, invariants: Mapping[str, str], status: Status
) -> Iterator[Finding]:
    for title, sql in invariants.items():
        broken = sql.strip().rstrip(";")
        try:
            with connection.begin_nested():
                counted = f"SELECT count(*) FROM ({broken}\n) AS broken"  # noqa: S608 - declared
                [(number,)] = query(connection, counted)
        except DBAPIError as error:
            if status.at_head or getattr(error.orig, "pgcode", None) not in NOT_THERE_YET:
                yield Finding(
                    severity=Severity.ERROR,
                    code="failed-invariant",
                    object=f"invariant {title}",
                    message=f"it cannot be evaluated: {said_by(error)}",
                    cure="Correct it; one that no longer applies is withdrawn by a revision: "
                    f"invariants = {{{title!r}: None}}",
                )
            continue
        if number:
            yield Finding(
                severity=Severity.ERROR,
                code="broken-invariant",
                object=f"invariant {title}",
                message=f"{number} row{' breaks' if number == 1 else 's break'} it",
                cure=f"See them: {broken};",
            )
