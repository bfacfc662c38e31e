"""Writes the audit while Alembic works, for plain ``alembic`` too.

The record of a revision is written in the revision's own transaction: no revision is
applied without its record. What a failed one leaves is written afterwards, through a
connection of its own.
"""

from __future__ import annotations

import hashlib
import logging
import os
import pwd
import socket
import subprocess
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg2
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import ScriptDirectory
from psycopg2 import errorcodes
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError

from pgsteady import state
from pgsteady.audit import DONE, FAILED, NOTICED, OUTSIDE, Record, append, last_heads
from pgsteady.connection import connect
from pgsteady.errors import PgSteadyError, StateUnavailable
from pgsteady.url import DatabaseUrl

log = logging.getLogger("alembic.pgsteady")

GIT_TIMEOUT_S = 5


@dataclass
class _Step:
    """A step of Alembic's that is under way."""

    command: str
    from_revisions: list[str]
    to_revisions: list[str]
    file_sha256: str | None
    sql: Any = field(default_factory=hashlib.sha256)
    began_s: float = field(default_factory=time.monotonic)

    @classmethod
    def begin(cls, info: MigrationInfo, script: ScriptDirectory) -> _Step:
        direction = "upgrade" if info.is_upgrade else "downgrade"
        moved = info.destination_revision_ids if info.is_stamp else info.up_revision_ids
        files = [Path(script.get_revision(id_).path).read_bytes() for id_ in moved]
        return cls(
            command="stamp" if info.is_stamp else direction,
            from_revisions=sorted(info.source_revision_ids),
            to_revisions=sorted(info.destination_revision_ids),
            file_sha256=hashlib.sha256(files[0]).hexdigest() if len(files) == 1 else None,
        )

    def note_sql(self, cursor: Any, sql: str, parameters: Any) -> None:
        for each in parameters if isinstance(parameters, list) else [parameters]:
            with suppress(psycopg2.Error):  # it cannot be sent either, and sending it says why
                self.sql.update(cursor.mogrify(sql, each) + b"\0")


class Recorder:
    """Records what one run of Alembic does to ``database``.

    Enter it with the migration lock held, before the run's own connection is opened:
    what failed is recorded on leaving, when that connection is closed. ``folder`` is
    the project's.
    """

    def __init__(
        self, environment: EnvironmentContext, database: DatabaseUrl, folder: Path
    ) -> None:
        self._environment = environment
        self._database = database
        self._folder = folder
        self._heads: list[str] = []
        self._step: _Step | None = None
        self._kept = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _class: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if error is None or self._step is None or not self._kept:
            return
        try:
            with connect(self._database) as connection, connection.begin():
                self._open(connection)
                append(connection, self._record(self._step, FAILED, _error_code(error)))
        except (PgSteadyError, DBAPIError):
            log.warning("The audit has no record of this failure: the database did not take it.")

    def watch(self, connection: Connection) -> dict[str, Any]:
        """Watch the run on ``connection``; return arguments for ``context.configure``."""
        options = self._environment.context_opts
        options["fn"] = self._watched(options["fn"], connection)
        event.listen(connection, "before_cursor_execute", self._note_sql)
        return {"on_version_apply": self._applied}

    def _watched(
        self, steps: Callable[..., Iterable[Any]], connection: Connection
    ) -> Callable[..., Iterator[Any]]:
        def watched(heads: Sequence[str], context: MigrationContext) -> Iterator[Any]:
            self._heads = sorted(heads)
            for number, step in enumerate(steps(heads, context)):
                if number == 0:
                    self._open(connection)
                self._step = _Step.begin(step.info, self._environment.script)
                yield step

        return watched

    def _note_sql(
        self, _connection: Connection, cursor: Any, sql: str, parameters: Any, *_: Any
    ) -> None:
        if self._step is not None:
            self._step.note_sql(cursor, sql, parameters)

    def _applied(self, *, ctx: MigrationContext, heads: set[str], **_: Any) -> None:
        """Record a step that is done; Alembic calls this last in the step's transaction."""
        step, self._step = self._step, None
        self._heads = sorted(heads)
        if self._kept and step is not None and ctx.connection is not None:
            append(ctx.connection, self._record(step, DONE))

    def _open(self, connection: Connection) -> None:
        """Make the audit if there is none, and note a change that passed it by."""
        try:
            state.prepare(connection)
        except StateUnavailable as error:
            log.warning("No audit is kept. %s", error)
            return
        self._kept = True
        before = last_heads(connection)
        purged = self._environment.context_opts.get("purge")  # the version table, by stamp
        if before != self._heads and not purged:
            append(connection, self._record(_Step(OUTSIDE, before, self._heads, None), NOTICED))

    def _record(self, step: _Step, outcome: str, error: str | None = None) -> Record:
        seen = outcome != NOTICED
        return Record(
            command=step.command,
            from_revisions=step.from_revisions,
            to_revisions=step.to_revisions,
            heads=self._heads,
            outcome=outcome,
            error=error,
            duration_ms=round((time.monotonic() - step.began_s) * 1000),
            sql_sha256=step.sql.hexdigest() if seen else None,
            file_sha256=step.file_sha256,
            **self._origin,
        )

    @cached_property
    def _origin(self) -> dict[str, Any]:
        return origin(self._folder)


def origin(folder: Path) -> dict[str, Any]:
    """Return who works, where, and on which code: fields of a record."""
    return {
        "os_user": _os_user(),
        "host": socket.gethostname(),
        "code": _name_and_version(folder),
        "git_revision": _git_revision(folder),
    }


def _os_user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # as in a container
        return str(os.geteuid())


def _name_and_version(folder: Path) -> str | None:
    """Return what ``pyproject.toml`` says of the project: ``name version``."""
    try:
        project = tomllib.loads((folder / "pyproject.toml").read_text()).get("project", {})
    except (OSError, ValueError):
        return None
    return " ".join(str(project[key]) for key in ("name", "version") if key in project) or None


def _git_revision(folder: Path) -> str | None:
    """Return the commit that ``folder`` is at, ``-dirty`` behind it if files differ from it."""
    describe = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        run = subprocess.run(
            ["git", "--no-optional-locks", "-C", folder, *describe],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return run.stdout.strip() or None


def _error_code(error: BaseException) -> str:
    """Name the innermost cause without its words."""
    while error.__cause__ is not None:
        error = error.__cause__
    code = getattr(error, "pgcode", None)
    if code is None:
        return type(error).__name__
    with suppress(KeyError):
        return f"{code} {errorcodes.lookup(code).lower()}"
    return str(code)
