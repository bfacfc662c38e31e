"""A toy project whose first revision is applied, with rows, and backups of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from jobs import FILL, FIRST, FIRST_BACK, Rehearse

from pgsteady.project import Project
from pgsteady.rehearse import rehearse
from toy import Project as Toy


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
    project.revision("a", FIRST, FIRST_BACK)
    project.run("upgrade", "a")
    for statement in FILL:
        sql(statement)
    return project


@pytest.fixture
def rehearsed(filled: Toy) -> Rehearse:
    """Rehearse what is pending in ``filled``."""
    return lambda *arguments, **options: rehearse(Project.load(filled.ini), *arguments, **options)
