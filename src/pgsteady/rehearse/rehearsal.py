"""The pending revisions tried on a copy: applied, verified, undone, verified, applied again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from alembic.script import Script
from sqlalchemy.exc import OperationalError

from pgsteady import catalog
from pgsteady.catalog import Catalog
from pgsteady.compare import differences
from pgsteady.connection import cause_of, connect
from pgsteady.declarations import Declarations, declared
from pgsteady.errors import RehearsalFailed, StateUnavailable
from pgsteady.finding import Finding, Severity
from pgsteady.lint import lint
from pgsteady.live import read_project
from pgsteady.progress import SILENT, Progress
from pgsteady.project import Project
from pgsteady.rehearse import judging
from pgsteady.rehearse.change import change_sha256, keep, pending
from pgsteady.rehearse.copies import Choice, Copy, copy_for
from pgsteady.rehearse.interrupt import interruptible
from pgsteady.rehearse.report import Rehearsal
from pgsteady.rehearse.running import Run, downgrade, upgrade
from pgsteady.rehearse.scale import basis
from pgsteady.rehearse.sizes import Rooms, rooms, sizes
from pgsteady.rehearse.ways import ways_back
from pgsteady.reread import read_again
from pgsteady.status import current_revisions
from pgsteady.verify import Evidence, compare, examine, take

PROGRAM = "python -m pgsteady"
LONGEST_BLOCK_S = 10.0
"""How long a table may be closed to readers or writers before a change is a no-go."""


@dataclass(frozen=True)
class Snapshot:
    """What a database is at one moment: its schema, its content, its size."""

    catalog: Catalog
    evidence: Evidence
    rooms: Rooms


def rehearse(
    project: Project,
    target: str = "heads",
    *,
    backup: Path | None = None,
    on: str | None = None,
    physical: bool = False,
    limit_s: float | None = None,
    longest_block_s: float = LONGEST_BLOCK_S,
    program: str = PROGRAM,
    progress: Progress = SILENT,
) -> Rehearsal:
    """Try the revisions up to ``target`` on a copy of the project's database.

    The copy is a fresh backup, restored and compared; or that ``backup``; or the database
    with the URL ``on``, if that is a replica what is restored from it; or with ``physical``
    a copy of the server's files. ``limit_s`` bounds each statement; ``program`` is how
    people call pgsteady. What is found is recorded in the live database, which is otherwise
    only read; there the migration lock is taken for a moment.

    Raises:
        RevisionUnknown: the project has no such target.
        RehearsalFailed: what was named is no copy of the live database.
        PgSteadyError: no backup could be made, or none restored.
    """
    began_s = time.monotonic()
    rehearsal, scripts = _begun(project, target)
    if not scripts:
        return rehearsal
    review = lint(project, [script.revision for script in scripts])
    rehearsal.lint = review.seen_from(Path.cwd()).findings
    choice = Choice(backup, on, physical)
    try:
        with (
            interruptible(),
            copy_for(project, choice, limit_s=limit_s, progress=progress) as copy,
        ):
            rehearsal.copy, rehearsal.backup = copy.words, copy.backup
            _Rehearsing(project, scripts, copy, rehearsal, progress).conduct()
    except OperationalError as error:
        raise RehearsalFailed(
            f"The rehearsal broke off: {cause_of(error)}.",
            hint="The live database is as it was. A private server's data is in memory if there "
            "is room, else in the temporary folder, which TMPDIR names.",
        ) from error
    rehearsal.way_back = ways_back(project, rehearsal, scripts, program)
    rehearsal.findings += judging.blocks(rehearsal, longest_block_s)
    rehearsal.findings.sort(key=lambda finding: list(Severity).index(finding.severity))
    rehearsal.seconds = time.monotonic() - began_s
    _record(project, rehearsal, target)
    return rehearsal


def _begun(project: Project, target: str) -> tuple[Rehearsal, list[Script]]:
    """Return a rehearsal of which nothing is known yet but what is pending."""
    database = project.database()
    with connect(database) as live, live.begin():
        current = current_revisions(project, live)
        scripts = pending(project, current, target)
        change = change_sha256(project, live, target)
    rehearsal = Rehearsal(
        database=f"{database.url.database} at {database.address}",
        from_revisions=current,
        to_revisions=_reached(current, scripts),
        change_sha256=change,
        began_at=datetime.now(UTC),
    )
    return rehearsal, scripts


def _reached(current: Sequence[str], scripts: Sequence[Script]) -> tuple[str, ...]:
    """Return the heads that the database has after ``scripts``."""
    ids = {*current, *(script.revision for script in scripts)}
    below = {down for script in scripts for down in script._all_down_revisions}
    return tuple(sorted(ids - below))


def _record(project: Project, rehearsal: Rehearsal, target: str) -> None:
    """Keep the rehearsal on record, if it is still of the change that is pending."""
    with connect(project.database()) as live, live.begin():
        changed = change_sha256(project, live, target) != rehearsal.change_sha256
    if changed:
        rehearsal.findings.append(judging.CHANGED_MEANWHILE)
        return
    try:
        keep(project, rehearsal)
    except StateUnavailable as error:
        rehearsal.findings.append(judging.not_recorded(error))


@dataclass
class _Rehearsing:
    """The steps of a rehearsal, on a copy."""

    project: Project
    scripts: Sequence[Script]
    copy: Copy
    rehearsal: Rehearsal
    progress: Progress

    @cached_property
    def _declared(self) -> Declarations:
        return declared(self.project, [script.revision for script in self.scripts])

    def conduct(self) -> None:
        """Take the steps, as far as one leads to the next."""
        found = self.rehearsal.findings
        before = self._snapshot()
        broken = self._examined()
        self._scale(before)
        forth = upgrade(self.project, self.copy.migrator, self.scripts, progress=self.progress)
        self.rehearsal.forth = forth
        after = self._snapshot(before)
        self.rehearsal.sizes = sizes(before.rooms, after.rooms)
        if forth.failed:
            found.append(judging.failure(forth, after.evidence.revisions))
            return
        self.rehearsal.to_revisions = after.evidence.revisions
        found += compare(before.evidence, after.evidence)
        found += [one for one in self._examined() if one not in broken]
        if not self._undo(before).failed:
            self._repeat(before, after)

    def _undo(self, before: Snapshot) -> Run:
        """Undo the revisions; the database has to be as before, but for what they say is lost."""
        back = downgrade(self.project, self.copy.migrator, self.scripts, progress=self.progress)
        self.rehearsal.back = back
        undone = self._snapshot(before)
        differing = list(self._differing(before, undone, "downgrade-differs"))
        differing += compare(before.evidence, undone.evidence)
        if back.failed:
            differing = [judging.failure(back, undone.evidence.revisions)]
        errors = [finding for finding in differing if finding.severity == Severity.ERROR]
        irreversible = self._declared.irreversible
        self.rehearsal.undone = not errors and not irreversible
        self.rehearsal.lost = [f"{revision}: {lost}" for revision, lost in irreversible.items()]
        for finding in differing:
            if irreversible and finding in errors:
                self.rehearsal.lost.append(f"{finding.object}: {finding.message}")
            else:
                self.rehearsal.findings.append(judging.on_the_way_back(finding))
        return back

    def _repeat(self, before: Snapshot, after: Snapshot) -> None:
        """Apply the revisions once more; the result has to be that of the first time."""
        again = upgrade(
            self.project,
            self.copy.migrator,
            self.scripts,
            title="Applying the revisions again",
            progress=self.progress,
        )
        self.rehearsal.again = again
        repeated = self._snapshot(before)
        if again.failed:
            self.rehearsal.findings.append(judging.failure(again, repeated.evidence.revisions))
            return
        self.rehearsal.findings += self._differing(after, repeated, "upgrade-again-differs")
        if self.rehearsal.undone:
            unlike = compare(before.evidence, repeated.evidence)
            new = [finding for finding in unlike if finding not in self.rehearsal.findings]
            self.rehearsal.findings += map(judging.the_second_time, new)

    def _snapshot(self, earlier: Snapshot | None = None) -> Snapshot:
        with connect(self.copy.database) as connection:
            connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                default = catalog.default_schema(connection)
                schema = read_project(self.project, connection, default)  # owners as they are
                evidence = take(
                    connection,
                    self.project,
                    changes=None if earlier else self._declared.changes,
                    like=earlier.evidence if earlier else None,
                    progress=self.progress,
                )
                return Snapshot(schema, evidence, rooms(connection))

    def _examined(self) -> list[Finding]:
        with connect(self.copy.database) as connection:
            connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                return examine(connection, self.project, progress=self.progress)

    def _differing(self, expected: Snapshot, found: Snapshot, code: str) -> Iterator[Finding]:
        with connect(self.copy.database) as connection, connection.begin() as transaction:
            unlike = read_again(
                connection,
                differences(found.catalog, expected.catalog),
                found.catalog,
                expected.catalog,
            )
            transaction.rollback()
        for difference in unlike:
            yield judging.difference(difference, code)

    def _scale(self, before: Snapshot) -> None:
        with connect(self.project.database()) as live, connect(self.copy.database) as copy:
            self.rehearsal.basis = basis(live, copy, before.rooms)
