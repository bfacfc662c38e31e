"""AiiDA's calcfunctions: functions that do nothing, with AiiDA's provenance of each.

Runs in an environment of its own; prints one JSON document for ``bench/jobs.py``. A calcfunction
runs in the process that calls it: there is no queue and no claim in the figure, only the nodes and
links that AiiDA keeps.

Run: python bench/jobs_aiida.py URL COUNT PROCESSES BATCH (libpq's variables name the server)
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def prepare(folder: str) -> None:
    """Make a profile on the database; without a broker, which calcfunctions do not need."""
    names = ("username", "password", "name", "hostname", "port")
    variables = ("PGUSER", "PGPASSWORD", "PGDATABASE", "PGHOST", "PGPORT")
    options = [
        word
        for name, variable in zip(names, variables, strict=True)
        if variable in os.environ
        for word in (f"--database-{name}", os.environ[variable])
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
        context = multiprocessing.get_context("spawn")
        ready = context.Barrier(processes + 1)
        each = count // processes
        children = [context.Process(target=work, args=(ready, each)) for _ in range(processes)]
        for child in children:
            child.start()
        ready.wait()
        began = time.perf_counter()
        for child in children:
            child.join()
        print(json.dumps({"done": each * processes, "s": time.perf_counter() - began}))


if __name__ == "__main__":
    main(*map(int, sys.argv[2:4]))
