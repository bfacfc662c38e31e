"""Fixtures: real PostgreSQL servers as somebody else's administrator would run them.

``external_server(major)`` is one server per session and major version, reached over
TCP; ``fresh_database(...)`` hands out an empty database on it, dropped after the test.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

from pgsteady.server import BUNDLED_MAJORS, Cluster, bundled

ROLE = "orion"
PASSWORD = "p%a@b/c:d?e"
NEWEST = BUNDLED_MAJORS[-1]
THROWAWAY = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "64MB",
    "autovacuum": "off",
    "timezone": "UTC",
}


@dataclass(frozen=True)
class ExternalServer:
    """A server on 127.0.0.1 where ``orion`` may log in and make databases, and no more."""

    cluster: Cluster
    port: int
    _numbers: Iterator[int] = field(default_factory=count)

    def url(self, database: str, *, driver: str = "", password: str = PASSWORD) -> str:
        """Return the URL of a database here; ``driver`` such as ``+asyncpg``."""
        secret = quote(password, safe="")
        return f"postgresql{driver}://{ROLE}:{secret}@127.0.0.1:{self.port}/{database}"

    def create(self, name: str | None = None, *, extension: bool = True) -> str:
        """Make a database that ``orion`` owns and return its name.

        With ``extension``, an administrator has run CREATE EXTENSION vector in it.
        """
        name = name or f"test_{next(self._numbers)}"
        template = "with_vector" if extension else "template1"
        with self.cluster.session() as cursor:
            cursor.execute(f'CREATE DATABASE "{name}" OWNER {ROLE} TEMPLATE {template}')
        return name

    def drop(self, name: str) -> None:
        """Drop a database, whoever is connected to it."""
        with self.cluster.session() as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def crash(self) -> None:
        """End the server as a crash does, with SIGKILL."""
        pid = int((self.cluster.data / "postmaster.pid").read_text().split()[0])
        postmaster = psutil.Process(pid)
        postmaster.kill()
        postmaster.wait()  # until then, it still seems to serve

    def start_again(self) -> None:
        """Start the server after a crash."""
        self.cluster.start(THROWAWAY, port=self.port)


@pytest.fixture(scope="session")
def external_server() -> Iterator[Callable[[int], ExternalServer]]:
    """Return a function from a major version to that session's server."""
    servers: dict[int, ExternalServer] = {}

    def server(major: int = NEWEST) -> ExternalServer:
        if major not in servers:
            servers[major] = _start(major)
        return servers[major]

    yield server
    for started in servers.values():
        started.cluster.stop()
        shutil.rmtree(started.cluster.folder.parent)


@pytest.fixture
def fresh_database(
    external_server: Callable[[int], ExternalServer],
) -> Iterator[Callable[..., str]]:
    """Return a function that makes an empty database and returns its URL."""
    made: list[tuple[ExternalServer, str]] = []

    def database(
        major: int = NEWEST, *, name: str | None = None, extension: bool = True, driver: str = ""
    ) -> str:
        server = external_server(major)
        made.append((server, server.create(name, extension=extension)))
        return server.url(made[-1][1], driver=driver)

    yield database
    for server, name in made:
        server.drop(name)


@pytest.fixture
def server_folder() -> Iterator[Path]:
    """Return an empty folder that the user who runs PostgreSQL may enter, and no longer path."""
    folder = open_folder()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def open_folder() -> Path:
    """Make such a folder; pytest's own is closed to everybody but its maker.

    In memory where there is room: a cluster is a thousand small files.
    """
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 4 * 2**30
    folder = Path(tempfile.mkdtemp(prefix="nano-os-test-", dir=memory if roomy else "/tmp"))
    if os.geteuid() == 0:
        folder.chmod(0o711)
    return folder


def free_port() -> int:
    """Return a TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(major: int) -> ExternalServer:
    cluster = Cluster(open_folder() / f"postgres-{major}", bundled(major))
    cluster.create()
    port = free_port()
    cluster.start(THROWAWAY, port=port)
    with cluster.session() as cursor:
        cursor.execute(f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD %s", (PASSWORD,))
        cursor.execute("CREATE DATABASE with_vector IS_TEMPLATE true")
    with cluster.session("with_vector") as cursor:
        cursor.execute("CREATE EXTENSION vector")
    return ExternalServer(cluster, port)
