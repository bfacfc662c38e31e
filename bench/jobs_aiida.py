"""AiiDA's calcfunctions: functions that do nothing, with AiiDA's provenance of each.

Runs in an environment of its own; prints one JSON document for ``bench/jobs.py``. A calcfunction
runs in the process that calls it: there is no queue and no claim in the figure, only the nodes and
links that AiiDA keeps.

Run: python bench/jobs_aiida.py URL COUNT PROCESSES BATCH (libpq's variables name the server)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from together import took_s


def prepare(folder: str) -> None:
    """Make a profile on the database; without a broker, which calcfunctions do not need."""
    host, name = os.environ["PGHOST"], os.environ["PGDATABASE"]
    options = [
        *("--database-username", os.environ["PGUSER"]),
        *("--database-password", os.environ["PGPASSWORD"]),
        *("--database-port", os.environ.get("PGPORT", "5432")),
        # It makes a URL of these, in whose place for the host no socket's folder may stand.
        *("--database-name", f"{name}?host={host}" if host.startswith("/") else name),
        *("--database-hostname", "localhost" if host.startswith("/") else host),
    ]
    people = ["--email", "bench@example.org", "--first-name", "B", "--last-name", "B"]
    subprocess.run(
        [
            *(str(Path(sys.executable).with_name("verdi")), "profile", "setup", "core.psql_dos"),
            *("--non-interactive", "--profile-name", "bench", "--set-as-default"),
            *("--broker", "none", "--institution", "B", *people, *options),
            *("--repository-uri", f"file://{folder}/repository"),
        ],
        check=True,
        stdout=sys.stderr,
    )


def work(ready: Any, count: int) -> None:
    """Wait for the others, and call a function that does nothing."""
    from aiida import load_profile
    from aiida.engine import calcfunction
    from aiida.orm import Int

    load_profile("bench")

    @calcfunction
    def nothing(number: Int) -> Int:
        return Int(number.value)

    ready.wait()
    for number in range(count):
        nothing(Int(number))


def main(count: int, processes: int) -> None:
    """Print how many functions were called, and how long it took."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AIIDA_PATH"] = folder
        prepare(folder)
        each = count // processes
        print(json.dumps({"done": each * processes, "s": took_s(work, processes, each)}))


if __name__ == "__main__":
    main(*map(int, sys.argv[2:4]))
