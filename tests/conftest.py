"""Databases for tests: migrated once, cloned or rolled back for each test.

A test that asks for ``session`` works in one transaction that is rolled back. One
that needs several connections or processes (workers, ``nano-os`` itself) asks for
``sessions`` or ``cli``, and gets a database of its own, a clone of the migrated one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import alembic.command
import hypothesis
import pytest
from alembic.config import Config
from sqlalchemy import NullPool
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from api.db import database_url
from api.models import User
from api.services import scope, users
from api.settings import settings
from pgsteady.url import parse

if TYPE_CHECKING:
    from servers import ExternalServer

pytest_plugins = ["servers"]

ROOT = Path(__file__).parents[1]

# No test depends on the clock. `make test-properties` looks longer than CI has time for.
hypothesis.settings.register_profile("sample", deadline=None, max_examples=30)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=500)
hypothesis.settings.load_profile(os.environ.get("PROPERTIES", "sample"))


SLOW_SHARE = 32
"""Of the slow tests, one in so many is in a sample."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out slow tests but for a sample, another with each word that SLOW_SAMPLE holds."""
    if word := os.environ.get("SLOW_SAMPLE"):
        chosen, left = [], []
        for item in items:
            is_in = not (crc32(f"{word} {item.nodeid}".encode()) % SLOW_SHARE)
            is_fast = item.get_closest_marker("slow") is None
            (chosen if is_in or is_fast else left).append(item)
        config.hook.pytest_deselected(items=left)
        items[:] = chosen


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run every ``async def`` test on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def migrated(external_server: Callable[..., ExternalServer]) -> Callable[[str], str]:
    """Return a function that clones a database made by ``alembic upgrade head``, and its URL."""
    from servers import ROLE  # a plug-in, which pytest imports itself

    server = external_server()
    template = server.create("migrated")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DATABASE_URL", server.url(template))
        alembic.command.upgrade(Config(ROOT / "alembic.ini"), "head")

    def clone(name: str) -> str:
        server.drop(name)
        with server.cluster.session() as cursor:
            cursor.execute(f'CREATE DATABASE "{name}" OWNER {ROLE} TEMPLATE "{template}"')
        return server.url(name)

    return clone


@pytest.fixture
def database(migrated: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a migrated, empty database of this test's own, set as ``DATABASE_URL``."""
    url = migrated("of_one_test")
    monkeypatch.setenv("DATABASE_URL", url)
    database_url.cache_clear()
    yield url
    database_url.cache_clear()


@pytest.fixture(scope="session")
def shared_database(migrated: Callable[[str], str]) -> str:
    """The URL of the migrated database in which transactions are rolled back."""
    return migrated("shared")


@pytest.fixture
async def sessions(database: str) -> AsyncIterator[async_sessionmaker[AsyncSession]]:
    """Sessions on a database of this test's own, whose transactions really commit."""
    engine = _engine(database)
    yield async_sessionmaker(engine, expire_on_commit=False)
    await engine.dispose()


@pytest.fixture
async def session(shared_database: str) -> AsyncIterator[AsyncSession]:
    """A session in one transaction that is rolled back; it reads everything, as a service does.

    ``session.commit()`` releases a savepoint only. Say ``scope.read_as(session, owner)``
    to see what one user may see.
    """
    engine = _engine(shared_database)
    async with engine.connect() as connection:
        transaction = await connection.begin()
        async with AsyncSession(
            connection, join_transaction_mode="create_savepoint", expire_on_commit=False
        ) as session:
            yield session
        await transaction.rollback()
    await engine.dispose()


@pytest.fixture
async def owner(session: AsyncSession) -> User:
    """The local owner, as whom ``session`` reads from now on."""
    local = await users.local_owner(session)
    scope.read_as(session, local)
    return local


Cli = Callable[..., "Run"]


class Run(subprocess.CompletedProcess[str]):
    """How a command ended."""

    @property
    def json(self) -> Any:
        """The JSON document that it printed."""
        return json.loads(self.stdout)


@pytest.fixture
def cli(database: str, home: Path, tmp_path: Path) -> Cli:
    """Run ``nano-os`` as its user does, on a migrated database of this test's own.

    ``cli("structures", "import", folder, "--json").json``. The command works in
    ``tmp_path`` and must exit with ``exits`` (0 unless given).
    """

    def run(*arguments: object, exits: int = 0, stdin: str | None = None, **variables: str) -> Run:
        done = subprocess.run(
            [Path(sys.executable).with_name("nano-os"), *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ | variables,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == exits, done.stdout + done.stderr
        return Run(done.args, done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def home(server_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder of this test's own, set as ``NANO_OS_HOME``."""
    monkeypatch.setenv("NANO_OS_HOME", str(server_folder))
    settings.cache_clear()
    yield server_folder
    settings.cache_clear()


def _engine(url: str) -> AsyncEngine:
    return create_async_engine(parse(url, "the test").asyncpg(), poolclass=NullPool)
