"""``repair`` as it is typed, and what it is to put right."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from alembic.util import CommandError

from pgsteady.cli.repair import run
from pgsteady.project import Project as Read
from toy import Project

Repair = Callable[..., Any]
Sql = Callable[..., list[tuple[object, ...]]]

EXISTS = "CREATE TABLE a (id int PRIMARY KEY, b int NOT NULL)"
INDEXED = """with op.get_context().autocommit_block():
        op.execute("ALTER TABLE a ADD c int")
        op.execute("CREATE UNIQUE INDEX CONCURRENTLY ix_a_b ON a (b)")
        op.execute("CREATE INDEX CONCURRENTLY ix_a_c ON a (c)")"""
"""A column and two indexes, outside of any transaction."""


@pytest.fixture
def repair(project: Project) -> Repair:
    """Repair as ``repair --json`` does and return its document; the code must be ``exits``."""

    def run_it(*, exits: int = 0, **options: bool) -> Any:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            code = run(Read.load(project.ini), as_json=True, **options)
        assert code == exits, printed.getvalue()
        return json.loads(printed.getvalue())

    return run_it


@pytest.fixture
def typed(project: Project) -> Callable[..., str]:
    """Type ``repair`` and return what it prints; it must exit with ``exits``."""

    def run_it(*options: str, exits: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "pgsteady", "-c", project.ini, "repair", *options],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == exits, done.stdout + done.stderr
        return done.stdout

    return run_it


@pytest.fixture
def half_done(project: Project, database: str, sql: Sql) -> Project:
    """A project in which 002 failed after the column and in the middle of an index."""
    project.revision("001_a", f'op.execute("{EXISTS}")', 'op.execute("DROP TABLE a")')
    project.run("upgrade", "head")
    sql("INSERT INTO a SELECT n, n / 2 FROM generate_series(1, 100) n")
    project.revision("002_index", INDEXED, down="001_a")
    with pytest.raises(CommandError):
        project.run("upgrade", "head")
    return project


@pytest.fixture
def invalid(sql: Sql) -> Callable[[], list[object]]:
    """Return the INVALID indexes."""

    def names() -> list[object]:
        found = sql("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid")
        return [name for (name,) in found]

    return names
