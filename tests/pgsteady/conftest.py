"""A toy project, and an empty database for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg2
import pytest

from catalog import snapshot
from toy import Project

Sql = Callable[..., list[tuple[object, ...]]]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def database(fresh_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty database, named by the environment."""
    url = fresh_database()
    monkeypatch.setenv("DATABASE_URL", url)
    return url


@pytest.fixture
def sql(database: str) -> Callable[..., list[tuple[object, ...]]]:
    """Run one statement in the database, committed, and return its rows."""

    def run(statement: str, *parameters: object) -> list[tuple[object, ...]]:
        with psycopg2.connect(database) as connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            rows = cursor.fetchall() if cursor.description else []
        connection.close()
        return rows

    return run


@pytest.fixture
def catalog(database: str) -> Callable[[], set[str]]:
    """Return what the database's schema is now."""

    def now() -> set[str]:
        with psycopg2.connect(database) as connection, connection.cursor() as cursor:
            lines = snapshot(cursor)
        connection.close()
        return lines

    return now
