"""``python -m pgsteady`` as its user calls it, and sessions of others in the way."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any, NamedTuple

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


ANYHOW = ("--no-rehearsal", "a test", "--accept-lint", "update-locks-rows")
"""Options where the gates are not what a test is about."""

AGAIN = "python -m pgsteady upgrade --accept-lint update-locks-rows --no-rehearsal 'a test'"
"""The command that goes on after such a run."""


def read_until(process: subprocess.Popen[str], words: str, times: int = 1) -> str:
    """Read what the process says on stderr, until it has said ``words`` so often."""
    said = ""
    for line in process.stderr or ():
        said += line
        if said.count(words) >= times:
            return said
    pytest.fail(f"{words!r} was not said {times} times: {said}")
