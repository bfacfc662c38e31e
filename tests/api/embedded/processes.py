"""Processes that use an embedded database, and what is done to them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg2
import pytest

from api import embedded
from api.embedded.home import Home

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to another user")

CLIENT = """
import sys
from pathlib import Path
from api import embedded
print(embedded.join(Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


class Client:
    """A process that joins, tells its URL, and leaves when its input ends."""

    def __init__(self, home: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def url(self) -> str:
        """The URL, once it has joined."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def leave(self) -> None:
        """End in an orderly way."""
        self.process.communicate(timeout=60)
        assert self.process.returncode == 0

    def kill(self) -> None:
        """End it as the kernel would when memory runs out."""
        self.process.kill()
        self.process.communicate()


def clear(folder: Path) -> None:
    """End what runs in a home, and remove it and its cluster."""
    if not folder.exists():
        return
    embedded.leave()
    if cluster := Home(folder).current():
        cluster.lock.evict()
    location = folder / "location"
    if location.exists():
        shutil.rmtree(location.read_text())
    shutil.rmtree(folder)


def query(url: str, statement: str) -> list[tuple[object, ...]]:
    """Run one statement, committed, and return its rows."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def serves(home: Path) -> bool:
    """Whether the home's server runs."""
    cluster = Home(home).current()
    return cluster is not None and cluster.running


def kill_server(home: Path) -> None:
    """Kill the postmaster, and see it dead: the signal takes effect a moment later."""
    cluster = Home(home).current()
    assert cluster is not None
    process = psutil.Process(int((cluster.data / "postmaster.pid").read_text().split()[0]))
    process.kill()
    wait_for(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)


def wait_for(condition: Callable[[], object]) -> None:
    """Wait for what is bound to happen."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)
