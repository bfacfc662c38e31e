"""A toy project whose first revision is applied, with rows, and backups of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from toy import Project as Toy

from pgsteady.project import Project
from pgsteady.rehearse import Rehearsal, rehearse

ROWS = 5000
TABLES = "\n    ".join(
    f'op.execute("{sql}")'
    for sql in (
        "CREATE TABLE jobs (id bigint PRIMARY KEY, name text NOT NULL, cost integer NOT NULL)",
        "CREATE TABLE notes (id bigint PRIMARY KEY, job bigint NOT NULL)",
    )
)
FILL = (
    f"INSERT INTO jobs SELECT i, 'job ' || i, i FROM generate_series(1, {ROWS}) AS i",
    "INSERT INTO notes SELECT i, i FROM generate_series(1, 100) AS i",
)

Rehearse = Callable[..., Rehearsal]


@pytest.fixture
def filled(
    project: Toy,
    database: str,
    sql: Callable[..., object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Toy:
    """The project at revision ``a``: jobs and notes, with rows."""
    assert database
    monkeypatch.setenv("PGSTEADY_BACKUPS", str(tmp_path / "backups"))
    project.revision("a", TABLES, 'op.execute("DROP TABLE notes, jobs")')
    project.run("upgrade", "a")
    for statement in FILL:
        sql(statement)
    return project


@pytest.fixture
def rehearsed(filled: Toy) -> Rehearse:
    """Rehearse what is pending in ``filled``."""
    return lambda *arguments, **options: rehearse(Project.load(filled.ini), *arguments, **options)
