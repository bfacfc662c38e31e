"""An external program, run to its end in a folder, with nothing left behind where that fails."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psutil

from nanoos.errors import EngineUnavailable

THREADS = "OMP_NUM_THREADS"
LAUNCHED = ("PMI_", "PMIX_", "OMPI_COMM_", "OMPI_UNIVERSE_", "HYDI_")
"""What a launcher of MPI leaves with us; a program would take itself for one of our ranks."""
KILL_WAIT_S = 5


def run_program(command: Sequence[str], folder: Path, output: Path, errors: Path) -> int:
    """Run ``command`` in ``folder``, its output and errors to files, and return its exit code.

    A negative code is that of the signal that killed it. One thread a process, unless
    ``OMP_NUM_THREADS`` says otherwise. The program stays in the process group of its parent, so
    that what ends that group ends it; where waiting for it is broken off by any exception, it is
    killed with all its descendants, the ranks of MPI among them.

    Raises
    ------
    EngineUnavailable
        If there is no such program, or it cannot be started.
    """
    environment = {THREADS: "1"} | {
        name: value for name, value in os.environ.items() if not name.startswith(LAUNCHED)
    }
    with output.open("wb") as out, errors.open("wb") as err:
        try:
            process = psutil.Popen(
                list(command),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=environment,
            )
        except OSError as error:
            raise EngineUnavailable(f"{command[0]} cannot be started: {error.strerror}") from None
        try:
            code: int = process.wait()
        except BaseException:
            _kill(process)
            raise
        return code


def _kill(process: psutil.Process) -> None:
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for one in family:
        try:
            one.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(family, timeout=KILL_WAIT_S)
