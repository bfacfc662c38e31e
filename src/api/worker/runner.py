"""The engine's process: takes tasks, performs each in its folder, gives answers."""

from __future__ import annotations

import faulthandler
import os
import pickle
import sys
import time
from contextlib import suppress
from dataclasses import replace
from math import isfinite
from multiprocessing.connection import Connection

from api.services.results import Run
from api.worker.folder import Heard, JobFolder, storable
from api.worker.perform import Task, perform
from nanoos.errors import EngineError, NanoError

TELL_S = 0.2
"""A task that says more often how it fares is heard so often."""


def serve(channel: Connection) -> None:
    """Answer tasks until nobody is there who sends them."""
    faulthandler.enable()
    while True:
        try:
            task, folder, began = channel.recv()
        except EOFError:
            return
        channel.send_bytes(_answered(_with_time_left(task, began), folder))


def _with_time_left(task: Task, began: float) -> Task:
    """Return the task with what is left of its time, which runs since before this process began.

    ``began`` is of the monotonic clock, which all processes of a machine share.
    """
    if task.wall_time_s is None:
        return task
    return replace(task, wall_time_s=max(0.0, task.wall_time_s - (time.monotonic() - began)))


def _answered(task: Task, folder: JobFolder) -> bytes:
    """Perform a task in its folder, what is printed going to its log; return the pickled answer."""
    teller = _Teller(folder)
    os.chdir(folder.work)
    _print_to(str(folder.log))
    try:
        answer: Run | NanoError = perform(task, folder.work, teller)
    except NanoError as error:
        answer = _portable(error)
    teller.end()
    _print_to(os.devnull)
    os.chdir("/")
    return pickle.dumps(answer)


def _print_to(path: str) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


def _portable(error: NanoError) -> NanoError:
    """Return the error as it can travel and be stored: plug-ins have classes of their own."""
    if (told := storable(str(error))) != str(error):
        error.args = (told,)
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    except Exception:  # noqa: BLE001 - whatever foreign classes raise
        return EngineError(storable(f"{type(error).__name__}: {error}"))
    return error


class _Teller:
    """Tells the worker how the task fares, but not too often."""

    def __init__(self, folder: JobFolder) -> None:
        self._folder = folder
        self._due = time.monotonic() + TELL_S
        self._waiting: Heard | None = None

    def __call__(self, done: float, message: str, **numbers: float) -> None:
        finite = {name: float(value) for name, value in numbers.items() if isfinite(value)}
        self._waiting = Heard(min(max(float(done), 0.0), 1.0), storable(message), finite)
        if time.monotonic() >= self._due:
            self.end()

    def end(self) -> None:
        """Tell what waits to be told."""
        if self._waiting is not None:
            with suppress(OSError):  # a full disk; the task itself may get by
                self._folder.tell(self._waiting)
            self._waiting, self._due = None, time.monotonic() + TELL_S
