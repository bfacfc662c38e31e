"""A project with rows, one of whose revisions is pending."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from production import Answer, Pgsteady

from toy import Project

SMALL = """op.execute("CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL, price int)")
    op.execute("INSERT INTO items SELECT n, 'item ' || n, n FROM generate_series(1, 500) n")"""


@pytest.fixture
def shop(project: Project, database: str) -> Project:
    """At ``001_items``, 500 rows; ``002_note`` adds a column."""
    project.revision("001_items", SMALL, 'op.execute("DROP TABLE items")')
    project.revision(
        "002_note",
        'op.add_column("items", sa.Column("note", sa.Text()))',
        'op.drop_column("items", "note")',
        down="001_items",
    )
    project.run("upgrade", "001_items")
    return project


@pytest.fixture
def start(project: Project, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start ``python -m pgsteady`` on the project, in a group of its own; killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "pgsteady", *map(str, arguments)],
            cwd=project.folder,
            env=os.environ | {"PGSTEADY_BACKUPS": str(tmp_path / "backups"), "COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def pgsteady(start: Callable[..., subprocess.Popen[str]]) -> Pgsteady:
    """Run ``python -m pgsteady`` on the project, to its end."""

    def run(*arguments: object, exits: int = 0) -> Answer:
        process = start(*arguments)
        stdout, stderr = process.communicate(timeout=120)
        answer = Answer(process.returncode, stdout, stderr)
        assert answer.code == exits, stdout + stderr
        assert "Traceback" not in stderr
        return answer

    return run


@pytest.fixture
def session(database: str) -> Callable[..., AbstractContextManager[Any]]:
    """Hold a session whose transaction has run the statements; rolled back at the end."""

    @contextmanager
    def held(*statements: str) -> Iterator[Any]:
        with closing(psycopg2.connect(database, application_name="the blocker")) as connection:
            for statement in statements:
                connection.cursor().execute(statement)
            yield connection

    return held
