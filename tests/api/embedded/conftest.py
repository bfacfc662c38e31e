"""Homes of the embedded database, and clients of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from processes import Client, clear


@pytest.fixture
def home(server_folder: Path) -> Iterator[Path]:
    """Return a home that does not exist yet; what runs in it is ended after the test."""
    folder = server_folder / "home"
    yield folder
    clear(folder)


@pytest.fixture
def client(home: Path) -> Iterator[Callable[[], Client]]:
    """Return a function that starts a client of the home."""
    started: list[Client] = []

    def start() -> Client:
        started.append(Client(home))
        return started[-1]

    yield start
    for one in started:
        if one.process.returncode is None:
            one.kill()
