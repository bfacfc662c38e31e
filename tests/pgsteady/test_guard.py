"""Plain alembic makes a backup before it destroys rows, and stops where it cannot."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg2
import pytest
from toy import Project

from pgsteady.backup import Backup, backups, restored
from pgsteady.connection import connect
from pgsteady.project import Project as Read

Sql = Callable[..., list[tuple[object, ...]]]

EXISTS = 'op.execute("CREATE TABLE a (id int PRIMARY KEY, b text)")'
DROPS = 'op.execute("DROP TABLE a")'
FILLED = "INSERT INTO a SELECT n, 'row ' || n FROM generate_series(1, 1234) n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the backups go."""
    folder = tmp_path / "kept"
    monkeypatch.setenv("PGSTEADY_BACKUPS", str(folder))
    return folder


@pytest.fixture
def filled(project: Project, database: str, sql: Sql) -> Project:
    """A project at 001, with 1,234 rows in table a."""
    project.revision("001_a", EXISTS, DROPS)
    project.run("upgrade", "head")
    sql(FILLED)
    return project


def typed(project: Project, *arguments: str, exits: int = 0) -> str:
    """Type a command of alembic and return what it logged."""
    process: subprocess.Popen[str] = project.process(*arguments)
    _, log = process.communicate()
    assert process.returncode == exits, log
    return log


def only(folder: Path) -> Backup:
    (backup,) = backups(folder)
    return backup


def test_a_downgrade_that_drops_rows_leaves_a_backup_of_them(
    filled: Project, folder: Path, sql: Sql
) -> None:
    log = typed(filled, "downgrade", "-1")
    backup = only(folder)
    assert "001_a drops table a (1,234 rows): a backup is made first." in log
    assert f"Backup: {backup.folder} (undo with: python -m pgsteady restore" in log
    assert sql("SELECT to_regclass('a')") == [(None,)]
    assert backup.manifest.proved
    with restored(backup, Read.load(filled.ini)) as copy, connect(copy) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM a").scalar() == 1234
