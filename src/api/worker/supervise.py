"""One task in an engine's process, from outside: limits, cancellation, and crashes.

The process is used again for the next task, so what engines load is loaded once. When a task
has to end, its process goes, with every process below it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Pipe, wait

import psutil

from api.errors import Cancelled
from api.services.results import Run
from api.worker.executor import Limits
from api.worker.folder import JobFolder
from api.worker.perform import Task
from nanoos.errors import EngineCrashed, MemoryExceeded, NanoError, WallTimeExceeded
from nanoos.processes import ONE_THREAD

POLL_S = 0.2
"""How often limits and cancellation are looked at."""
DEATH_S = 5.0
"""How long a process may take to die of itself."""

_idle: list[EngineProcess] = []
_lock = threading.Lock()


def carry_out(task: Task, folder: JobFolder, limits: Limits) -> Run:
    """Run the task in a process of its own and return what came of it.

    May be called from several threads at once.

    Raises
    ------
    Cancelled
        If the folder says so.
    WallTimeExceeded, MemoryExceeded
        If it took more than its limits.
    EngineCrashed
        If its process ended without an answer.
    NanoError
        What `perform` raises.
    """
    process = _taken(limits)
    try:
        answer = process.perform(task, folder, limits)
    except BaseException:
        process.end()
        raise
    if isinstance(answer, Run):
        _keep(process)
        return answer
    if process.has_left_something():
        process.end()
    else:
        _keep(process)
    raise answer


def end_all() -> None:
    """End the processes that wait for a task."""
    with _lock:
        while _idle:
            _idle.pop().end()


def _taken(limits: Limits) -> EngineProcess:
    """Return a process that waits, the last used first, or a new one."""
    while True:
        with _lock:
            process = _idle.pop() if _idle else None
        if process is None:
            return EngineProcess()
        too_large = limits.memory_bytes is not None and (
            process.memory_bytes() > limits.memory_bytes / 2
        )
        if process.is_alive and not too_large:
            return process
        process.end()


def _keep(process: EngineProcess) -> None:
    with _lock:
        _idle.append(process)


class EngineProcess:
    """A process that performs one task after another, under its warden."""

    def __init__(self) -> None:
        self._channel, theirs = Pipe()
        code = (
            f"import sys; sys.path[:] = {sys.path!r}\n"
            f"from api.worker.warden import main; main({theirs.fileno()})"
        )
        self._warden = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,  # its end tells the warden that we are gone
            stdout=subprocess.PIPE,
            env=ONE_THREAD | os.environ,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,  # Ctrl-C is the worker's to handle
        )
        theirs.close()

    @property
    def is_alive(self) -> bool:
        """Whether it can take a task."""
        return self._warden.poll() is None

    def perform(self, task: Task, folder: JobFolder, limits: Limits) -> Run | NanoError:
        """Have the task performed; raises as `carry_out` does, then it must be ended."""
        began = time.monotonic()
        try:
            self._channel.send((task, folder, began))
            while not wait([self._channel, self._said], POLL_S):
                if folder.is_cancelled:
                    raise Cancelled
                self._hold_to(limits, time.monotonic() - began)
            answer: Run | NanoError = self._channel.recv()
        except (EOFError, OSError) as error:
            raise EngineCrashed(self._crash(folder)) from error
        return answer

    @property
    def _said(self) -> int:
        assert self._warden.stdout is not None  # noqa: S101 - it is a pipe
        return self._warden.stdout.fileno()

    def _hold_to(self, limits: Limits, elapsed_s: float) -> None:
        if limits.wall_time_s is not None and elapsed_s > limits.wall_time_s:
            raise WallTimeExceeded(
                f"The job was ended after {limits.wall_time_s:g} s, the wall time it was given."
                " Submit it again with more."
            )
        if limits.memory_bytes is not None and self.memory_bytes() > limits.memory_bytes:
            raise MemoryExceeded(
                f"The job was ended: it took more than the {limits.memory_bytes / 1e6:g} MB of"
                " memory it was given. Submit it again with more."
            )

    def memory_bytes(self) -> int:
        """Return what is resident in all of its processes together."""
        total = 0
        for process in self._tree():
            with suppress(psutil.Error):
                total += process.memory_info().rss
        return total

    def has_left_something(self) -> bool:
        """Whether programs still run that a task began."""
        return len(self._tree()) > 1

    def _tree(self) -> list[psutil.Process]:
        """Return the processes below the warden; the first is that of the engine."""
        with suppress(psutil.Error):
            return psutil.Process(self._warden.pid).children(recursive=True)
        return []

    def _crash(self, folder: JobFolder) -> str:
        wait([self._said], DEATH_S)
        how = self.end()
        words = folder.last_words()
        memory = " Perhaps the system had no memory left." if how == "SIGKILL" else ""
        return f"The engine's process ended without an answer ({how or 'unknown'}).{memory}" + (
            f" Its last words: {words}" if words else ""
        )

    def end(self) -> str:
        """Kill it with all processes below it, wait for that, and return how it had ended."""
        self._channel.close()
        how, _ = self._warden.communicate()
        return how.decode().strip()
