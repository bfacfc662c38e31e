"""Before a step of plain ``alembic`` destroys rows, a backup of them is made.

A step's SQL is read before it begins. What that does not show, as in a data migration that
asks the database, is seen when the statement is about to be sent: then the step is rolled
back, the backup made, and the step begun again.
"""

from __future__ import annotations

import ast
import logging
import re
import shlex
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import Script
from sqlalchemy import Connection, event, text

from pgsteady.connection import connect
from pgsteady.errors import ClusterError, PgSteadyError, RestoreFailed, WouldLoseRows
from pgsteady.project import Project
from pgsteady.url import DatabaseUrl

if TYPE_CHECKING:
    from pgsteady.backup import Backup
    from pgsteady.lint.sql import Statement
    from pgsteady.losses import Loss

log = logging.getLogger("alembic.pgsteady")

OPTION = "no-backup"
"""``alembic -x no-backup …`` goes on without a backup."""

_EXISTING = text(
    "SELECT c.oid, c.relnatts FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.relkind IN ('r', 'p', 'm') AND c.relname <> :version_table "
    "AND n.nspname !~ '^(pg_|information_schema$|pgsteady$)'"
)
_IN_SOURCE = re.compile(r"drop|truncate|delete|update|merge|\btype_?\b", re.IGNORECASE)
_IN_SQL = re.compile(r"\b(DROP|TRUNCATE|DELETE|UPDATE|MERGE|TYPE)\b", re.IGNORECASE)
"""Without one of these words, nothing is destroyed; most steps are passed by so, at no cost."""


class _Stopped(Exception):
    """A statement that would destroy rows was not sent."""

    def __init__(self, losses: Sequence[Loss]) -> None:
        super().__init__()
        self.losses = losses


class Guard:
    """Guards one run of Alembic on ``connection``, a connection to ``database``.

    Make it before anything else wraps the run's steps. ``options`` are the project's
    arguments for ``context.configure``.
    """

    def __init__(
        self,
        environment: EnvironmentContext,
        database: DatabaseUrl,
        connection: Connection,
        options: Mapping[str, Any],
    ) -> None:
        ini = Path(environment.config.config_file_name or "alembic.ini").absolute()
        url = database.url.render_as_string(hide_password=False)
        self._project = Project(
            ini, environment.config, environment.script, {**options, "url": url}
        )
        self._database = database
        self._connection = connection
        self._patience_s: float = options["lock_timeout_s"]
        self._own = re.compile(rf"(UPDATE|DELETE FROM) (\S+\.)?{self._project.version_table} ")
        self._existing: dict[int, int] = {}
        self._steps: deque[Any] | None = None
        self._revision: str | None = None
        self._stopped: Exception | None = None
        self._off = OPTION in environment.get_x_argument(as_dictionary=True)
        run_steps = environment.context_opts["fn"]
        environment.context_opts["fn"] = self._guarded(run_steps)
        event.listen(connection, "before_cursor_execute", self._watch)

    def run(self, migrate: Callable[[], None]) -> None:
        """Call ``migrate``, which runs the steps; and again, if one had to stop for a backup.

        Raises:
            WouldLoseRows: no backup can be made.
        """
        while True:
            try:
                return migrate()
            except _Stopped as stopped:
                self._stopped = None
                self._back_up(stopped.losses)

    def _guarded(self, steps: Callable[..., Iterable[Any]]) -> Callable[..., Iterator[Any]]:
        def guarded(heads: Sequence[str], context: MigrationContext) -> Iterator[Any]:
            # Relative targets, as in `downgrade -1`, are reckoned from the heads once only.
            if self._steps is None:
                self._steps = deque(steps(heads, context))
                self._look_around()
            while self._steps:
                self._begin(self._steps[0])
                yield self._steps[0]
                self._revision = None
                self._steps.popleft()

        return guarded

    def _look_around(self) -> None:
        if self._steps and not self._off and not all(step.info.is_stamp for step in self._steps):
            own = {"version_table": self._project.version_table}
            rows = self._connection.execute(_EXISTING, own)
            self._existing = {row.oid: row.relnatts for row in rows}
        self._off = self._off or not self._existing

    def _begin(self, step: Any) -> None:
        if self._off or step.info.is_stamp:
            return
        self._revision = step.revision.revision
        direction = "upgrade" if step.info.is_upgrade else "downgrade"
        if _IN_SOURCE.search(_source_of(step.revision, direction)):
            from pgsteady.lint.reading import read_direction

            self._look_at(read_direction(self._project, step.revision, direction).statements)

    def _look_at(self, statements: Sequence[Statement]) -> None:
        """Back up if a step is going to destroy rows, as far as it could be read."""
        if any(_IN_SQL.search(statement.text) for statement in statements):
            from pgsteady.losses import losses

            with connect(self._database) as connection:
                session: Any = connection.connection.dbapi_connection
                session.autocommit = True
                session.cursor().execute("SET lock_timeout = %s", [f"{self._patience_s:g}s"])
                found = losses(session, statements, self._existing)
            if found:
                self._back_up(found)

    def _watch(self, connection: Connection, cursor: Any, sql: str, values: Any, *_: Any) -> None:
        if self._stopped:  # and the revision's own code caught it
            raise self._stopped
        if self._off or self._revision is None or not _IN_SQL.search(sql) or self._own.match(sql):
            return
        from pgsteady.lint.sql import parse
        from pgsteady.losses import losses

        session: Any = connection.connection.dbapi_connection
        for each in values if isinstance(values, list) else [values]:
            sent = cursor.mogrify(sql, each).decode()
            if found := losses(session, parse(sent), self._existing):
                self._stop(found, in_transaction=not session.autocommit)

    def _stop(self, found: Sequence[Loss], *, in_transaction: bool) -> None:
        self._stopped = _Stopped(found) if in_transaction else self._too_late(found)
        raise self._stopped

    def _too_late(self, found: Sequence[Loss]) -> WouldLoseRows:
        return WouldLoseRows(
            f"{self._revision} {_listed(found)}, in an autocommit block: it was stopped before "
            "that. What the block did before stays done, and a backup now would be of a schema "
            "between two revisions.",
            hint="`python -m pgsteady repair --dry-run` says what is half done. Then run it again "
            f"without a backup: alembic -x {OPTION} …",
        )

    def _back_up(self, found: Sequence[Loss]) -> None:
        """Make the backup, with no transaction of ours open, or say why there is none."""
        said = f"{self._revision} {_listed(found)}"
        log.info("%s: a backup is made first.", said)
        if self._connection.in_transaction():
            self._connection.commit()  # Alembic's empty version table, at most
        try:
            backup = _backup_of(self._project)
        except (PgSteadyError, OSError) as error:
            raise WouldLoseRows(
                f"{said}. No backup of that could be made, so it was not begun: {error}",
                hint=f"Mend that; or go on without a backup: alembic -x {OPTION} …",
            ) from error
        program = ["python", "-m", "pgsteady", *self._project.named_by]
        undo = [*program, "restore", str(backup.folder), "--switch"]
        log.info("Backup: %s (undo with: %s)", backup.folder, shlex.join(undo))
        self._off = True


def _backup_of(project: Project) -> Backup:
    """Make a backup and prove it, where a server can be had that it restores on."""
    from pgsteady.backup import back_up

    try:
        return back_up(project)
    except (ClusterError, RestoreFailed) as error:
        log.warning("The backup cannot be proved here: %s", error)
        return back_up(project, prove=False)


def _source_of(script: Script, direction: str) -> str:
    """Return the revision's file without the function of the other direction."""
    source = Path(script.path).read_text()
    lines = source.splitlines()
    other = "downgrade" if direction == "upgrade" else "upgrade"
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name == other:
            del lines[node.lineno - 1 : node.end_lineno]
    return "\n".join(lines)


def _listed(found: Sequence[Loss]) -> str:
    return ", ".join(map(str, found))
