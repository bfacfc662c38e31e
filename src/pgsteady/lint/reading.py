"""Revisions as they are read: the file, its syntax tree, and the SQL of each direction.

The SQL is what ``upgrade()`` and ``downgrade()`` give to Alembic in offline mode, one
revision at a time and each statement with its line. What a revision executes on
``op.get_bind()`` is taken too; a query there returns no rows, and that it was read is noted.
"""

from __future__ import annotations

import ast
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import Any

import alembic.context
import alembic.op
from alembic.operations import Operations
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import Script
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine.mock import MockConnection
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.sql.ddl import ExecutableDDLElement

from pgsteady.lint.sql import Statement, parse
from pgsteady.project import Project, quiet


@dataclass(frozen=True)
class Problem:
    """What running the revision showed: a rule's code, where, and what exactly."""

    code: str
    line: int | None
    detail: str


@dataclass
class Run:
    """What one direction of a revision does."""

    statements: list[Statement] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True)
class Revision:
    """One revision, read. ``parents`` are the ids that it follows."""

    id: str
    path: Path
    parents: tuple[str, ...]
    source: str
    upgrade: Run
    downgrade: Run

    @cached_property
    def tree(self) -> ast.Module:
        """The file's syntax tree."""
        return ast.parse(self.source)

    def function(self, name: str) -> ast.FunctionDef | None:
        """Return ``upgrade`` or ``downgrade``."""
        found = (node for node in self.tree.body if isinstance(node, ast.FunctionDef))
        return next((node for node in found if node.name == name), None)


def read(project: Project, script: Script) -> Revision:
    """Read one revision by running both directions of it, without a database."""
    path = Path(script.path)
    parents = script.down_revision or ()
    return Revision(
        id=script.revision,
        path=path,
        parents=(parents,) if isinstance(parents, str) else tuple(parents),
        source=path.read_text(encoding="utf-8"),
        upgrade=read_direction(project, script, "upgrade"),
        downgrade=read_direction(project, script, "downgrade"),
    )


def read_direction(project: Project, script: Script, direction: str) -> Run:
    """Read ``upgrade`` or ``downgrade`` of a revision by running it, without a database."""
    recorder = _Recorder(Path(script.path))
    function = getattr(script.module, direction, None)
    if function is None:
        return recorder.run
    try:
        with quiet(), _offline(project, recorder):
            _call(function)
    except _Failed as failed:
        line = _line_in(function.__code__.co_filename, failed.cause)
        unreadable = isinstance(failed.cause, NoInspectionAvailable)
        recorder.note("needs-database" if unreadable else "cannot-run", str(failed), line)
    return recorder.run


class _Failed(Exception):
    """The revision's own code raised ``cause``."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(f"{type(cause).__name__}: {cause}")
        self.cause = cause


def _call(function: Callable[[], None]) -> None:
    try:
        function()
    except NotImplementedError:
        return  # a downgrade that refuses; the rules look at it
    except Exception as error:  # a revision is the user's: anything may come out of it
        raise _Failed(error) from error


def _line_in(file: str, error: Exception) -> int | None:
    frames = reversed(traceback.extract_tb(error.__traceback__))
    return next((frame.lineno for frame in frames if frame.filename == file), None)


@contextmanager
def _offline(project: Project, recorder: _Recorder) -> Iterator[None]:
    """Let ``alembic.op`` and ``alembic.context`` write to ``recorder``."""
    environment = EnvironmentContext(project.config, project.script, as_sql=True)
    passed = {"version_table", "version_table_schema", "target_metadata", "transactional_ddl"}
    context = MigrationContext.configure(
        dialect_name="postgresql",
        environment_context=environment,
        dialect_opts={"paramstyle": "named"},
        opts={
            **{name: value for name, value in project.options.items() if name in passed},
            "as_sql": True,
            "literal_binds": True,
            "output_buffer": recorder,
            "transaction_per_migration": True,
        },
    )
    context.connection = context.impl.connection = recorder.connection()  # type: ignore[assignment]
    environment._migration_context = context  # what configure() would have set
    with _proxies_kept(), environment, Operations.context(context):
        yield


@contextmanager
def _proxies_kept() -> Iterator[None]:
    """Give ``alembic.op`` and ``alembic.context`` back to the run of Alembic we may be in."""
    proxies = [getattr(module, "_proxy", None) for module in (alembic.context, alembic.op)]
    try:
        yield
    finally:
        for proxy in filter(None, proxies):
            proxy._install_proxy()


class _Recorder:
    """Alembic's output of one direction: it writes statements, and BEGIN and COMMIT."""

    def __init__(self, path: Path) -> None:
        self.run = Run()
        self._file = str(path)
        self._transaction: int | None = 0
        self._transactions = 0

    def write(self, text: str) -> None:
        """Take one statement."""
        words = text.strip().rstrip(";").upper()
        if words == "COMMIT":
            self._transaction = None
        elif words == "BEGIN":
            self._transactions += 1
            self._transaction = self._transactions
        else:
            self.run.statements += parse(text, self._line(), self._transaction)

    def flush(self) -> None:
        """Do nothing; a file has it."""

    def note(self, code: str, detail: str, line: int | None = None) -> None:
        """Take what went wrong, at the line that is being run unless given."""
        self.run.problems.append(Problem(code, line or self._line(), detail))

    def connection(self) -> _Connection:
        """Return what stands in for the connection that is not there."""
        return _Connection(self)

    def _line(self) -> int | None:
        frame: FrameType | None = sys._getframe()
        while frame is not None and frame.f_code.co_filename != self._file:
            frame = frame.f_back
        return frame.f_lineno if frame else None


class _Connection(MockConnection):
    """Stands in for the connection that is not there offline."""

    def __init__(self, recorder: _Recorder) -> None:
        super().__init__(postgresql.dialect(paramstyle="named"), self.execute)  # type: ignore[no-untyped-call]
        self._recorder = recorder

    def execute(self, statement: Any, parameters: Any = None, *_: Any) -> _Rows:
        """Take a statement as if it were executed; offline nobody sends ``parameters``."""
        if isinstance(statement, str):
            self._recorder.note("bare-string", statement.strip())
            sql = statement
        elif isinstance(statement, ExecutableDDLElement):
            sql = str(statement.compile(dialect=self.dialect))
        else:
            how = {"render_postcompile": True}
            sql = str(statement.compile(dialect=self.dialect, compile_kwargs=how))
        if parameters:
            self._recorder.note("needs-database", sql)
        self._recorder.write(_BOUND.sub("NULL", sql))
        return _Rows(self._recorder, sql)

    def exec_driver_sql(self, statement: str, *_: Any) -> _Rows:
        """Take a statement of the driver's own."""
        self._recorder.write(statement)
        return _Rows(self._recorder, statement)

    def scalar(self, statement: Any, *_: Any) -> None:
        """Take a query whose one value is wanted."""
        return self.execute(statement).scalar()

    def scalars(self, statement: Any, *_: Any) -> _Rows:
        """Take a query whose values are wanted."""
        return self.execute(statement)


_BOUND = re.compile(r"(?<![:\w]):[A-Za-z_]\w*")
"""A bound parameter, ``:name``; its value does not matter here."""


class _Rows:
    """A result without rows, which notes that somebody wanted them."""

    def __init__(self, recorder: _Recorder, sql: str) -> None:
        self._recorder = recorder
        self._sql = sql

    def __iter__(self) -> Iterator[Any]:
        return iter(self.fetchall())

    def fetchall(self) -> list[Any]:
        """Return no rows."""
        self._recorder.note("needs-database", self._sql)
        return []

    all = partitions = fetchall

    def mappings(self) -> _Rows:
        """Return itself: no rows are no mappings either."""
        return self

    scalars = mappings

    def fetchone(self) -> None:
        """Return no row."""
        self.fetchall()

    scalar = first = one = scalar_one = scalar_one_or_none = one_or_none = fetchone

    @property
    def rowcount(self) -> int:
        """The number of rows changed: none."""
        return len(self.fetchall())
