"""What was broken off is found, and finished or undone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import psycopg2
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from pgsteady import state
from pgsteady.connection import cause_of, connect
from pgsteady.deploy.journal import settle
from pgsteady.errors import PgSteadyError
from pgsteady.finding import Finding, Severity
from pgsteady.lock import direct, migration_lock
from pgsteady.progress import SILENT, Progress
from pgsteady.project import Project
from pgsteady.repair.halfdone import half_done
from pgsteady.repair.indexes import invalid
from pgsteady.repair.leftovers import folders, scratch
from pgsteady.repair.report import Repair, Report
from pgsteady.repair.sessions import orphans, stale
from pgsteady.repair.waiting import blockers_named
from pgsteady.url import DatabaseUrl

__all__ = ["Repair", "Report", "repair"]

_UNFINISHED_RUNS = text("SELECT count(*) FROM pgsteady.upgrade WHERE ended_at IS NULL")


def repair(
    project: Project,
    *,
    finish: bool = False,
    dry_run: bool = False,
    progress: Progress = SILENT,
) -> Report:
    """Put right what was broken off in the project's database, and around it.

    A half-done revision is undone, with ``finish`` brought to its end. With ``dry_run``
    nothing is changed. Broken off itself, it goes on where it is run again; a migrator at
    work is waited for.

    Raises:
        EnvironmentFault: the database cannot be reached.
    """
    report = Report(dry_run)
    take = partial(_take, report, progress)
    database = direct(project.database(), project.ini)
    take(stale(database))
    with migration_lock(database, progress.note):
        found = list(orphans(database))
        take(found)
        if not any(isinstance(one, Finding) for one in found):
            take(_runs(database))
            take(scratch(database))
            halves = half_done(project, database, finishing=finish)
            with blockers_named(database, progress):
                take(halves.found)
                take(invalid(database, halves.indexes))
    take(folders(project))
    return report


def _take(report: Report, progress: Progress, found: Iterable[Repair | Finding]) -> None:
    """Do each repair, unless the run is dry; what fails remains."""
    for one in found:
        if isinstance(one, Finding):
            report.remaining.append(one)
        elif report.dry_run:
            report.repairs.append(one)
        else:
            try:
                with progress.step(f"{one.object}: {one.action}"):
                    one.do()
            except (PgSteadyError, DBAPIError, psycopg2.Error, OSError) as error:
                report.remaining.append(_failed(one, error))
            else:
                report.repairs.append(one)


def _failed(repair: Repair, error: Exception) -> Finding:
    hint = error.hint if isinstance(error, PgSteadyError) else None
    cause = cause_of(error) if isinstance(error, DBAPIError) else str(error.args[0])
    return Finding(
        severity=Severity.ERROR,
        code="not-repaired",
        object=repair.object,
        message=f"{repair.message} The repair failed: {cause}",
        cure=hint or "Mend that, and run `repair` again.",
        sql="\n".join(repair.sql),
    )


def _runs(database: DatabaseUrl) -> Iterator[Repair]:
    """Yield the runs of ``upgrade`` that never said how they ended."""
    with connect(database) as connection, connection.begin():
        if not state.exists(connection):
            return
        try:
            with state.usable(connection):
                number = connection.scalars(_UNFINISHED_RUNS).one()
        except PgSteadyError:
            return  # the state is of a version without them
    if number:
        yield Repair(
            "table pgsteady.upgrade",
            "A run of `upgrade` was killed, and never said how it ended."
            if number == 1
            else f"{number} runs of `upgrade` were killed, and never said how they ended.",
            "note that it died",
            partial(settle, database),
        )
