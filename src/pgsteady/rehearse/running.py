"""Revisions run for real on a copy, as the project's own ``env.py`` would run them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationStep, RevisionStep
from alembic.script import Script
from psycopg2.errorcodes import DISK_FULL
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from pgsteady.connection import connect, sqlstate
from pgsteady.errors import RehearsalFailed
from pgsteady.progress import SILENT, Advance, Progress
from pgsteady.project import Project, quiet
from pgsteady.rehearse.trace import Statement, Tracer, observer
from pgsteady.url import DatabaseUrl

Steps = Callable[[Sequence[str]], Iterable[RevisionStep]]
"""From the revisions that the database has to the steps to take."""


@dataclass
class Step:
    """One revision applied or undone, and what it sent."""

    revision: str
    title: str
    began_ms: float
    ms: float = 0
    statements: list[Statement] = field(default_factory=list)
    failure: str = ""


@dataclass
class Run:
    """Revisions applied, or undone, one after the other."""

    is_upgrade: bool
    steps: list[Step] = field(default_factory=list)

    @property
    def failed(self) -> Step | None:
        """The step that failed, which is the last one."""
        return self.steps[-1] if self.steps and self.steps[-1].failure else None

    @property
    def ms(self) -> float:
        """How long the steps took."""
        return sum(step.ms for step in self.steps)


def upgrade(
    project: Project,
    database: DatabaseUrl,
    pending: Sequence[Script],
    *,
    title: str = "Applying the revisions",
    progress: Progress = SILENT,
) -> Run:
    """Apply ``pending`` to ``database``, a copy, as far as they go; ``title`` says so."""
    steps = [MigrationStep.upgrade_from_script(project.script.revision_map, s) for s in pending]
    with progress.step(title, len(steps)) as advance:
        return _run(project, database, Run(is_upgrade=True), steps, advance)


def downgrade(
    project: Project,
    database: DatabaseUrl,
    pending: Sequence[Script],
    *,
    progress: Progress = SILENT,
) -> Run:
    """Undo ``pending`` in ``database``, a copy, the last one first, as far as that goes."""
    steps = [
        MigrationStep.downgrade_from_script(project.script.revision_map, script)
        for script in reversed(pending)
    ]
    with progress.step("Undoing the revisions", len(steps)) as advance:
        return _run(project, database, Run(is_upgrade=False), steps, advance)


def _run(
    project: Project,
    database: DatabaseUrl,
    run: Run,
    steps: Sequence[RevisionStep],
    advance: Advance,
) -> Run:
    with _named_everywhere(project, database) as config, observer(database) as other:
        with connect(database) as connection:
            tracer = Tracer(connection, other, project.version_table)

            def taken(_heads: Any, _context: Any) -> Iterator[RevisionStep]:
                for number, step in enumerate(steps):
                    _close(run, tracer)
                    advance(number)
                    revision = step.revision
                    run.steps.append(Step(revision.revision, revision.doc, tracer.now_ms))
                    yield step
                advance(len(steps))

            failure = ""
            try:
                _migrate(project, config, connection, taken)
            except RehearsalFailed as error:
                if _is_the_servers(error.__cause__):
                    raise error.__cause__ from None
                failure = str(error)
        tracer.finish(failure)
    _close(run, tracer)
    if failure and not run.steps:
        raise RehearsalFailed(failure)
    if failure:
        run.steps[-1].failure = failure
    return run


def _close(run: Run, tracer: Tracer) -> None:
    """Note what the step before sent, and how long it took."""
    if run.steps:
        step = run.steps[-1]
        step.statements, step.ms = tracer.taken(), tracer.now_ms - step.began_ms


def _migrate(
    project: Project, config: Config, connection: Connection, steps: Callable[..., Any]
) -> None:
    """Let Alembic take the steps, in transactions as the project has them.

    Raises:
        RehearsalFailed: one of them failed.
    """
    options = project.options
    environment = EnvironmentContext(config, project.script, fn=steps, destination_rev="heads")
    with environment, quiet():
        try:
            environment.configure(
                connection=connection,
                target_metadata=options.get("target_metadata"),
                transaction_per_migration=bool(options.get("transaction_per_migration")),
                version_table=project.version_table,
                version_table_schema=project.version_table_schema,
            )
            with environment.begin_transaction():
                environment.run_migrations()
        except Exception as error:  # revisions are the user's: anything may come out of them
            cause = getattr(error, "orig", None) or error
            said = str(cause).strip() or type(cause).__name__
            raise RehearsalFailed(said.splitlines()[0]) from error


def _is_the_servers(error: BaseException | None) -> TypeGuard[DBAPIError]:
    """Tell whether the copy's server is at fault: it is gone, or its disk is full."""
    return isinstance(error, DBAPIError) and (
        error.connection_invalidated or sqlstate(error) == DISK_FULL
    )


@contextmanager
def _named_everywhere(project: Project, database: DatabaseUrl) -> Iterator[Config]:
    """Name ``database`` where a revision that opens a connection of its own would look."""
    url = database.libpq()
    config = Config(project.ini, toml_file=project.ini.with_name("pyproject.toml"))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    before = os.environ.get("DATABASE_URL")
    os.environ["DATABASE_URL"] = url
    try:
        yield config
    finally:
        if before is None:
            del os.environ["DATABASE_URL"]
        else:
            os.environ["DATABASE_URL"] = before
