"""A project and a database of the reader's own, with crystals in it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pages import ROOT
from reader import Reader

if TYPE_CHECKING:
    from servers import ExternalServer


@pytest.fixture(scope="session")
def filled(external_server: Callable[[int], ExternalServer]) -> Callable[[int], str]:
    """Return a function that gives the name of a template at head, filled with crystals."""
    made: dict[int, str] = {}

    def template(major: int) -> str:
        if major not in made:
            server = external_server(major)
            made[major] = server.create("crystals")
            programs = Path(sys.executable).parent
            for command in (
                [programs / "alembic", "upgrade", "head"],
                [programs / "nano-os", "structures", "import", "examples/crystals"],
            ):
                subprocess.run(
                    command,
                    cwd=ROOT,
                    env=os.environ | {"DATABASE_URL": server.url(made[major])},
                    check=True,
                    capture_output=True,
                )
        return made[major]

    return template


NUMBERS = count()


@pytest.fixture
def reader(
    request: pytest.FixtureRequest,
    filled: Callable[[int], str],
    external_server: Callable[[int], ExternalServer],
    tmp_path: Path,
) -> Iterator[Reader]:
    from servers import NEWEST, ROLE  # a plug-in, which pytest imports itself

    major = getattr(request, "param", NEWEST)
    server, name = external_server(major), f"reader_{next(NUMBERS)}"
    template = filled(major)
    with server.cluster.session() as cursor:
        cursor.execute(f'CREATE DATABASE "{name}" OWNER {ROLE} TEMPLATE "{template}"')
    yield Reader(tmp_path, server.url(name))
    server.drop(name)
