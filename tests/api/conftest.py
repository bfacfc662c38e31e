"""The command ``nano-os`` for tests: in this process, where that is all it takes, or beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from api.cli import main


class Answer(NamedTuple):
    """What a command printed."""

    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout, parse_constant=_no_json)


Invoke = Callable[..., Answer]


def _no_json(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


@pytest.fixture
def invoke(
    database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Invoke:
    """Run ``nano-os`` in this process, by the function its script calls: faster than ``cli``."""

    def run(*arguments: object, exits: int | None = 0) -> Answer:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["nano-os", *map(str, arguments)])
        handler = signal.getsignal(signal.SIGTERM)
        with pytest.raises(SystemExit) as end:
            main()
        signal.signal(signal.SIGTERM, handler)
        answer = Answer(*capsys.readouterr())
        assert exits in {None, end.value.code or 0}, answer.stdout + answer.stderr
        assert "Traceback" not in answer.stderr
        return answer

    return run


class Started(psutil.Popen):
    """A command that runs beside the test; ``log`` is the file of what it says."""

    log: Path

    def output(self) -> str:
        return self.log.read_text()

    def end(self, timeout_s: float = 120) -> int:
        """Wait for its end and return its exit code; nothing it started may outlive it."""
        family = self.children(recursive=True) if self.is_running() else []
        code = self.wait(timeout_s)
        _gone, left = psutil.wait_procs(family, timeout=5)
        assert not left, f"left behind: {left}"
        return int(code)


Start = Callable[..., Started]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start ``nano-os`` in the background; what still runs at the test's end is killed.

    With ``session`` it leads a process group, as in a terminal of its own.
    """
    started: list[Started] = []

    def run(*arguments: object, session: bool = False, **variables: str) -> Started:
        log = tmp_path / f"log-{len(started)}"
        with log.open("w") as stream:
            process = Started(
                [Path(sys.executable).with_name("nano-os"), *map(str, arguments)],
                env=os.environ | variables,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=session,
            )
        process.log = log
        started.append(process)
        return process

    yield run
    for process in started:
        if process.is_running():
            for member in [*process.children(recursive=True), process]:
                member.kill()
        process.wait()
