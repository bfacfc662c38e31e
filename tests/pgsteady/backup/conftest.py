"""A project with a filled database, and the commands on it as they are typed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from orders import ROWS, TABLES, Command, Run, Sql, query

from pgsteady.backup import Backup, back_up
from pgsteady.project import Project
from servers import ExternalServer
from toy import Project as Toy


@pytest.fixture
def major(request: pytest.FixtureRequest) -> int:
    """The server's major version; tests that ask for others say ``on_each_major``."""
    return int(getattr(request, "param", 18))


@pytest.fixture
def server(external_server: Callable[[int], ExternalServer], major: int) -> ExternalServer:
    return external_server(major)


@pytest.fixture
def database(
    fresh_database: Callable[..., str], major: int, monkeypatch: pytest.MonkeyPatch
) -> str:
    """The URL of the project's database, named by the environment."""
    url = fresh_database(major)
    monkeypatch.setenv("DATABASE_URL", url)
    return url


@pytest.fixture
def toy(tmp_path: Path, database: str) -> Toy:
    """A project whose database is at its head and has rows."""
    toy = Toy(tmp_path)
    toy.revision("001_tables", TABLES)
    toy.run("upgrade", "head")
    query(database, ROWS)
    return toy


@pytest.fixture
def project(toy: Toy) -> Project:
    return Project.load(toy.ini)


@pytest.fixture
def backup(project: Project) -> Backup:
    """A proved backup of the project's database."""
    return back_up(project)


@pytest.fixture
def sql(database: str) -> Sql:
    """Run SQL in the project's database, committed, and return the rows of its last statement."""
    return lambda statement, *parameters: query(database, statement, *parameters)


@pytest.fixture
def run(toy: Toy) -> Command:
    """Run ``python -m pgsteady …`` in the project's folder; it must exit with ``exits``."""

    def typed(*arguments: object, exits: int = 0) -> Run:
        done = subprocess.run(
            [sys.executable, "-m", "pgsteady", *map(str, arguments)],
            cwd=toy.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == exits, done.stdout + done.stderr
        return Run(done.returncode, done.stdout, done.stderr)

    return typed


@pytest.fixture
def template(server: ExternalServer) -> Iterator[None]:
    """An administrator has put the extension where new databases have it from."""
    with server.cluster.session("template1") as cursor:
        cursor.execute("CREATE EXTENSION IF NOT EXISTS vector")
    yield
    with server.cluster.session("template1") as cursor:
        cursor.execute("DROP EXTENSION vector")
