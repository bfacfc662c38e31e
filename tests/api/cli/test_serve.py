"""``nano-os serve`` as a process: it answers, and leaves nothing behind."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import run
from sys import executable
from typing import TYPE_CHECKING

import httpx
import pytest

from api.embedded.home import Home
from servers import free_port

if TYPE_CHECKING:
    from conftest import Start, Started

ROOT = Path(__file__).parents[3]


def health(port: int, server: Started) -> httpx.Response:
    """Wait until the server answers, and return what it says of itself."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/health", timeout=10)
        except httpx.TransportError:
            assert server.poll() is None, server.output()
            assert time.monotonic() < deadline, server.output()
            time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_the_embedded_database_and_stops_it(
    start: Start, home: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    port = free_port()
    server = start("serve", "--port", port)
    assert health(port, server).status_code == 503  # no tables yet
    assert "alembic upgrade head" in health(port, server).json()["detail"]
    run([Path(executable).with_name("alembic"), "upgrade", "head"], cwd=ROOT, check=True)
    assert health(port, server).json()["status"] == "ok"

    cluster = Home(home).current()
    assert cluster
    assert cluster.running
    server.send_signal(number)
    assert server.end() in {0, 130, 143}
    assert not cluster.running
    assert "Traceback" not in server.output()


def test_a_port_in_use_is_said(start: Start, database: str) -> None:
    port = free_port()
    first = start("serve", "--port", port)
    health(port, first)
    page = httpx.get(f"http://127.0.0.1:{port}/", timeout=10, follow_redirects=True)
    assert (page.status_code, page.url.path) == (200, "/docs")
    second = start("serve", "--port", port)
    assert second.end() == 3
    assert "address already in use. Choose another port with --port" in second.output()
    assert "Traceback" not in second.output()
    first.terminate()
    first.end()


def test_a_server_that_comes_up_later_is_found(
    start: Start,
    migrated: Callable[[str], str],
    database: str,
    external_server: Callable[..., object],
) -> None:
    port = free_port()
    server = start("serve", "--port", port, DATABASE_URL=database.replace("of_one_test", "later"))
    assert health(port, server).status_code == 503
    migrated("later")
    assert health(port, server).status_code == 200
    server.terminate()
    server.end()
