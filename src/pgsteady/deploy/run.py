"""The production path: gates, backup, evidence, one revision after the other, proof."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from pgsteady import maintenance, state
from pgsteady.backup import back_up
from pgsteady.connection import cause_of, connect, not_connected
from pgsteady.declarations import Declarations, declared
from pgsteady.deploy import gates, journal, proof, ways
from pgsteady.deploy.interruption import Interruption
from pgsteady.deploy.order import Order
from pgsteady.deploy.report import Outcome, Report
from pgsteady.deploy.retrying import Applying, Step
from pgsteady.deploy.watch import AFTER, DURING, Limits, Watch
from pgsteady.errors import (
    EnvironmentFault,
    GateClosed,
    PgSteadyError,
    RevisionUnknown,
    UpgradeStopped,
)
from pgsteady.lock import direct, migration_lock
from pgsteady.progress import SILENT, Progress
from pgsteady.project import Project
from pgsteady.rehearse.change import change_sha256, pending
from pgsteady.status import ancestors, current_revisions
from pgsteady.url import DatabaseUrl

BASELINE_S = 2.0
"""So long, at least, is watched before the first revision."""


def upgrade(project: Project, order: Order, progress: Progress = SILENT) -> Report:
    """Upgrade the project's database as production needs it, and say how that went.

    What stops it once there is something to do is ``error`` of the report.

    Raises:
        EnvironmentFault: the database cannot be reached.
        RevisionUnknown: the project has no such target.
    """
    database = direct(project.database(), project.ini)
    with migration_lock(database, progress.note) as observer:
        current = current_revisions(project, observer)
        report = Report(
            current,
            current=current,
            without_rehearsal=order.without_rehearsal,
            died=journal.settle(database),
        )
        try:
            scripts = pending(project, current, order.target)
        except RevisionUnknown as error:
            return _refused(report, project, error)
        if not scripts:
            report.back = ways.behind(project, current, order.target)
            return report
        report.steps = [Step(script.revision, script.doc) for script in scripts]
        report.to_revisions = _reached(project, current, [step.revision for step in report.steps])
        _Run(project, order, database, observer, report, progress).go()
        return report


def _refused(report: Report, project: Project, unknown: RevisionUnknown) -> Report:
    """Say what the doctor does if it is the database that names an unknown revision.

    Raises:
        RevisionUnknown: it is the target.
    """
    try:
        gates.require_health(project)
    except GateClosed as closed:
        report.outcome, report.error = Outcome.REFUSED, closed
        return report
    raise unknown


def _reached(project: Project, current: tuple[str, ...], revisions: list[str]) -> tuple[str, ...]:
    """Return what the version table will name: all that nothing else of it needs."""
    there = {*current, *revisions}
    needed = {id_ for revision in there for id_ in ancestors(project, [revision]) - {revision}}
    return tuple(sorted(there - needed))


def _worded(error: DBAPIError, database: DatabaseUrl) -> PgSteadyError:
    """Say what the server refused, or that it is gone, without SQL and values."""
    if error.connection_invalidated:
        return not_connected(cause_of(error), database)
    return PgSteadyError(f"The server refused it: {cause_of(error)}.")


@dataclass
class _Run:
    """One upgrade that has something to do, under the migration lock."""

    project: Project
    order: Order
    database: DatabaseUrl
    observer: Connection
    report: Report
    progress: Progress
    declarations: Declarations = field(default_factory=Declarations)
    ours: set[int] = field(default_factory=set)
    interruption: Interruption = field(default_factory=Interruption)

    def go(self) -> None:
        """Do all of it; the report says how it ended."""
        self._try(self._prepare, Outcome.REFUSED)
        if self.report.error is None:
            with journal.kept(self.database, self.report, self.project):
                self._try(self._change, Outcome.FAILED)

    def _try(self, work: Callable[[], None], otherwise: Outcome) -> None:
        """Do ``work``; if it cannot be done, say why and that it ended so."""
        self.report.outcome = otherwise
        try:
            work()
        except UpgradeStopped as error:
            self._end(Outcome.STOPPED, error)
        except PgSteadyError as error:
            self._end(otherwise, error)
        except DBAPIError as error:
            self._end(otherwise, _worded(error, self.database))
        except (KeyboardInterrupt, SystemExit):
            self._end(Outcome.INTERRUPTED, UpgradeStopped("It was interrupted."))

    def _prepare(self) -> None:
        """Pass the gates, and have a way back."""
        order, report = self.order, self.report
        revisions = [step.revision for step in report.steps]
        with self.progress.step("Doctor"):
            gates.require_health(self.project)
        with self.progress.step("Lint"):
            gates.require_lint(self.project, revisions, order.accept_lint)
        self.declarations = declared(self.project, revisions)
        with connect(self.database) as connection, connection.begin():
            state.prepare(connection)
        change = self._change_sha256()
        self._require_rehearsal(change)
        report.maintenance = self._in_maintenance()
        if order.maintenance and not report.maintenance:
            self._enter_maintenance()
        report.backup = self._backup()
        if self._change_sha256() != change:
            raise GateClosed(
                "A revision's file or the live schema was changed while the backup was made.",
                hint=f"Run `{order.program} rehearse` again, then this.",
            )

    def _require_rehearsal(self, change: str) -> None:
        report, order = self.report, self.order
        if order.without_rehearsal is not None:
            return
        ends = (report.from_revisions, report.to_revisions)
        with connect(self.database) as connection, connection.begin():
            last = gates.require_rehearsal(connection, change, ends, order.program)
        expected = gates.expected_s(last)
        for step in report.steps:
            step.expected_s = expected.get(step.revision)

    def _enter_maintenance(self) -> None:
        with connect(self.database) as connection, connection.begin():
            maintenance.on(connection)
        self.report.maintenance = True
        if query := maintenance.work_query(self.project.ini):
            maintenance.wait_until_idle(self.database, query, self.progress)

    def _backup(self) -> Path:
        if self.order.backup is None:
            return back_up(self.project, progress=self.progress).folder
        current = self.report.from_revisions
        backup = gates.require_backup(self.order.backup, self.database, current, self.progress)
        return backup.folder

    def _change(self) -> None:
        """Apply the revisions, and prove what came of it."""
        report = self.report
        with ExitStack() as until_done:
            watch = self._watch(until_done)
            others = proof.others_connected(self.observer)
            earlier = proof.before(self.project, self.database, self.declarations, self.progress)
            with self.interruption:
                self._apply(watch)
            others = others or proof.others_connected(self.observer)
            report.findings = proof.after(
                self.project,
                self.database,
                earlier,
                quiet=report.maintenance or not others,
                progress=self.progress,
            )
            if report.proved and self.order.maintenance:
                with connect(self.database) as connection, connection.begin():
                    maintenance.off(connection)
            if watch:
                watch.begin(AFTER)
                self._watch_on(watch)
        self._end(Outcome.DONE if report.good else Outcome.NOT_PROVED)

    def _apply(self, watch: Watch | None) -> None:
        applying = Applying(
            self.project,
            self.observer,
            self.interruption,
            self.order.retries,
            self.progress,
            self.ours,
        )
        if watch:
            self.interruption.sleep(BASELINE_S)
            watch.begin(DURING)
        for step in self.report.steps:
            self._require_calm(watch)
            before = current_revisions(self.project, self.observer)
            applying.apply(step)
            journal.audit_step(self.database, self.project, step, before)
            if not step.done:
                raise self._failure(step)

    def _require_calm(self, watch: Watch | None) -> None:
        """Stop between two revisions if that is asked for, or others feel too much."""
        if self.interruption.times:
            raise UpgradeStopped("It was stopped between two revisions, as asked for.")
        if watch and watch.exceeded:
            raise UpgradeStopped(
                f"It was stopped between two revisions: {'; '.join(watch.exceeded.values())}.",
                hint="Go on when the database is quieter, or with a higher limit.",
            )

    def _failure(self, step: Step) -> PgSteadyError:
        if self.interruption.times:
            return UpgradeStopped(f"{step.revision} was interrupted.")
        return step.attempts[-1].error or UpgradeStopped()

    def _watch(self, until_done: ExitStack) -> Watch | None:
        if self.order.watch_s is None and self.order.limits == Limits():
            return None
        watch = Watch(self.order.limits, self.ours)
        until_done.enter_context(watch.on(self.database))
        self.report.watch = watch
        return watch

    def _watch_on(self, watch: Watch) -> None:
        """Watch for the time asked for after the last revision."""
        wanted_s = self.order.watch_s or 0
        with self.interruption, self.progress.step("Watching", wanted_s) as advance:
            until_s = time.monotonic() + wanted_s
            while (left_s := until_s - time.monotonic()) > 0 and not (
                self.interruption.times or watch.broken
            ):
                advance(wanted_s - left_s)
                self.interruption.sleep(min(1.0, left_s))

    def _end(self, outcome: Outcome, error: PgSteadyError | None = None) -> None:
        """Say how it ended, and what is true now as far as the server can be asked."""
        report, order = self.report, self.order
        report.outcome, report.error = outcome, error
        if self.interruption.times and error is not None:
            report.outcome = Outcome.INTERRUPTED
        try:
            with connect(self.database) as connection, connection.begin():
                report.current = current_revisions(self.project, connection)
            report.maintenance = self._in_maintenance()
            applied = ancestors(self.project, report.current)
            for step in report.steps:  # the connection can break after the server has committed
                step.done = step.revision in applied
        except (EnvironmentFault, DBAPIError):
            report.current = None
        if outcome is not Outcome.DONE:
            ways.tell(report, self.project, self.declarations, order)

    def _in_maintenance(self) -> bool:
        with connect(self.database) as connection, connection.begin():
            return maintenance.current(connection) is not None

    def _change_sha256(self) -> str:
        with connect(self.database) as connection, connection.begin():
            return change_sha256(self.project, connection, self.order.target)
