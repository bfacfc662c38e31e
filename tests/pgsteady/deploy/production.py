"""``python -m pgsteady`` as its user calls it, and sessions of others in the way."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import psycopg2
import pytest


class Answer(NamedTuple):
    """What a command printed, and how it ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


Pgsteady = Callable[..., Answer]


@contextmanager
def session(database: str, *statements: str) -> Iterator[Any]:
    """Hold a session whose transaction has run the statements; rolled back at the end."""
    with closing(psycopg2.connect(database, application_name="the blocker")) as connection:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        yield connection


def read_until(process: subprocess.Popen[str], words: str, times: int = 1) -> str:
    """Read what the process says on stderr, until it has said ``words`` so often."""
    said = ""
    for line in process.stderr or ():
        said += line
        if said.count(words) >= times:
            return said
    pytest.fail(f"{words!r} was not said {times} times: {said}")
