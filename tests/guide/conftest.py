"""The places in which a reader of the guide may stand, and a project of the reader's own."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import alembic.command
import pytest
from alembic.config import Config
from blocks import ROOT
from places import COMMON, EXTERNAL, Place, Project

from api import embedded

if TYPE_CHECKING:
    from servers import ExternalServer


@pytest.fixture(scope="session")
def embedded_place() -> Iterator[Place]:
    """The embedded database in a home of its own, running all the while."""
    from servers import open_folder  # a plug-in, which pytest imports itself

    home = open_folder()
    yield Place(embedded.join(home), COMMON | {"NANO_OS_HOME": str(home)})
    embedded.leave()
    embedded.stop(home)
    shutil.rmtree(home)


@pytest.fixture(params=["embedded", *EXTERNAL])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An empty database: the embedded one, or ``orion_db`` on a server of that major."""
    if request.param == "embedded":
        found: Place = request.getfixturevalue("embedded_place")
        found.empty()
        yield found
        return
    from servers import PASSWORD

    server: ExternalServer = request.getfixturevalue("external_server")(int(request.param))
    name = server.create("orion_db")
    leads_there = {
        "DATABASE_URL": server.url(name, driver="+asyncpg"),
        "PGHOST": "127.0.0.1",  # for psql -U orion -d orion_db
        "PGPORT": str(server.port),
        "PGPASSWORD": PASSWORD,
        "NANO_OS_HOME": str(tmp_path / "home"),
    }
    yield Place(server.url(name), COMMON | leads_there, server)
    server.drop(name)


@pytest.fixture
def project(place: Place, tmp_path: Path) -> Project:
    """The reader's project, where nothing is migrated yet."""
    return Project(tmp_path / "project", place.environment)


@pytest.fixture(scope="session")
def script() -> str:
    """The SQL of ``alembic upgrade head``; a test proves that it makes the same database."""
    config = Config(ROOT / "alembic.ini", output_buffer=io.StringIO())
    alembic.command.upgrade(config, "head", sql=True)
    return config.output_buffer.getvalue()


@pytest.fixture
def migrated(place: Place, project: Project, script: str) -> Project:
    """The reader's project, after ``alembic upgrade head``."""
    project.type(f"psql -qv ON_ERROR_STOP=1 '{place.url}'", stdin=script)
    return project
