"""What a failed or killed revision left is undone or finished by one command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from alembic.util import CommandError

from toy import Project

Sql = Callable[..., list[tuple[object, ...]]]

EXISTS = "CREATE TABLE a (id int PRIMARY KEY, b int NOT NULL)"
INDEXED = """with op.get_context().autocommit_block():
        op.execute("ALTER TABLE a ADD c int")
        op.execute("CREATE UNIQUE INDEX CONCURRENTLY ix_a_b ON a (b)")
        op.execute("CREATE INDEX CONCURRENTLY ix_a_c ON a (c)")"""
"""As the guide's users write it: a column and an index, outside of any transaction."""


def repair(project: Project, *options: str, exits: int = 0) -> Any:
    """Type ``repair`` and return what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "pgsteady", "-c", project.ini, "repair", "--json", *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == exits, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def half_done(project: Project, database: str, sql: Sql) -> Project:
    """A project in which 002 failed after the column and in the middle of the index."""
    project.revision("001_a", f'op.execute("{EXISTS}")')
    project.run("upgrade", "head")
    sql("INSERT INTO a SELECT n, n / 2 FROM generate_series(1, 100) n")
    project.revision("002_index", INDEXED, down="001_a")
    with pytest.raises(CommandError):
        project.run("upgrade", "head")
    return project


def test_a_half_done_revision_is_undone(half_done: Project, sql: Sql, catalog: Any) -> None:
    assert INVALID(sql) == [("ix_a_b",)]
    dry = repair(half_done, "--dry-run", exits=1)
    assert "DROP INDEX CONCURRENTLY IF EXISTS ix_a_b;" in dry["repairs"][0]["sql"]
    assert INVALID(sql) == [("ix_a_b",)]
    (done,) = repair(half_done)["repairs"]
    assert done["object"] == "revision 002_index"
    assert "broken off after 2 of 3 statements" in done["message"]
    assert sql(
        "SELECT attname::text FROM pg_attribute WHERE attrelid = 'a'::regclass "
        "AND attnum > 0 AND NOT attisdropped"
    ) == [("id",), ("b",)]
    assert INVALID(sql) == []
    assert repair(half_done)["repairs"] == []
    sql("DELETE FROM a WHERE id % 2 = 0")
    half_done.run("upgrade", "head")
    assert half_done.run("current") == "002_index (head)\n"


def INVALID(sql: Sql) -> list[tuple[object, ...]]:
    return sql("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid")
