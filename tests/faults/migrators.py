"""Many real processes of alembic at once, each forked from one that has imported it.

Starting Python ten times takes longer than what the ten are to do.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple, Self

MIGRATORS = 10


class Ended(NamedTuple):
    """How one of them ended."""

    exit_code: int
    log: str


class Migrators:
    """Forks migrators; close it at the end."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(self, ini: Path, url: str, seed: int) -> list[Ended]:
        """Run ``alembic upgrade head`` in ten processes, which begin within a tenth of a second."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        logs = [ini.with_name(f"migrator_{number}.log") for number in range(MIGRATORS)]
        request = {"ini": str(ini), "url": url, "seed": seed, "logs": list(map(str, logs))}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        codes = json.loads(self._process.stdout.readline())
        return [Ended(code, log.read_text()) for code, log in zip(codes, logs, strict=True)]


def serve() -> None:
    """Answer requests, one a line, until the input ends."""
    import pgvector.sqlalchemy  # noqa: F401 - the projects' models import it
    import sqlalchemy.dialects.postgresql.psycopg2  # noqa: F401

    import pgsteady.env  # noqa: F401

    for line in sys.stdin:
        request = json.loads(line)
        delays = random.Random(request["seed"])
        pids = [_fork(request, log, delays.uniform(0, 0.1)) for log in request["logs"]]
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        print(json.dumps(codes), flush=True)


def _fork(request: dict[str, str], log: str, delay_s: float) -> int:
    pid = os.fork()
    if pid == 0:
        import alembic.config

        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ["DATABASE_URL"] = request["url"]
        time.sleep(delay_s)
        code = 70
        try:
            alembic.config.main(["-c", request["ini"], "upgrade", "head"])
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return pid


if __name__ == "__main__":
    serve()
