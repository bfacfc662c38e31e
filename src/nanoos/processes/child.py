"""A process of the pool: takes items from stdin, does the work, writes results to stdout.

It ends with its parent: at the end of stdin, and at once where the parent was killed.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import pickle
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from nanoos.errors import NanoError
from nanoos.processes.messages import (
    HEADER_BYTES,
    MESSAGE_BYTES,
    MESSAGE_S,
    READY,
    Failure,
    Part,
)
from nanoos.steps import Task, together

Work = Callable[[Any], Iterator[Any]]

_GC_OBJECTS = 50_000  # made before cycles are looked for: reading makes many objects, few cycles
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(work: str, memory_bytes: int, current_fd: int, parent_pid: int) -> None:
    """Serve the parent. ``work`` is ``module:function``; ``current_fd`` tells what is in hand."""
    _end_with(parent_pid)
    warnings.simplefilter("ignore")  # of foreign readers, about files the user does not see
    jobs, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what libraries print must not get among the answers
    module, _, name = work.partition(":")
    do: Work = getattr(importlib.import_module(module), name)
    gc.freeze()
    gc.set_threshold(_GC_OBJECTS)
    _limit_memory(memory_bytes)
    outbox = _Outbox(answers)
    outbox.write(READY)
    number = 0
    while True:
        try:
            items = pickle.load(jobs)  # noqa: S301 - from our own parent
        except EOFError:
            return
        tasks = [
            _Task(do, item, at, outbox, current_fd) for at, item in enumerate(items, start=number)
        ]
        together(tasks)
        for task in tasks:
            if task.lacked_memory:
                together([task.alone_again()])
        number += len(tasks)
        outbox.flush()


class _Task(Task):
    """The work for one item, and what it sends: on the way where its results are many.

    From then on it is done alone, as the item at hand, which is blamed when the process dies:
    the others can be given to another process with nothing sent twice.
    """

    def __init__(self, do: Work, item: Any, number: int, outbox: _Outbox, current_fd: int) -> None:
        super().__init__()
        self._do = do
        self._item = item
        self._number = number
        self._outbox = outbox
        self._current_fd = current_fd
        self._is_sent_in_part = False
        self.lacked_memory = False
        """It did while others had some."""

    def alone_again(self) -> _Task:
        """Return the same work to be done once more, with all the memory for itself."""
        again = _Task(self._do, self._item, self._number, self._outbox, self._current_fd)
        again.alone = True
        return again

    def begin_step(self) -> None:
        """Tell the parent which item is at hand, and that the time before was not the item's."""
        os.pwrite(self._current_fd, self._number.to_bytes(8, "big"), 0)
        if self._outbox.is_due():
            self._outbox.send()

    def run(self) -> None:
        """Do the work and send what comes of it, or why nothing, or nothing more, does."""
        results: list[Any] = []
        size = 0
        failure = None
        try:
            for result in self._do(self._item):
                results.append(result)
                size += sum(map(sys.getsizeof, result))
                if size > MESSAGE_BYTES or self._outbox.is_due():
                    self._send(Part(self._number, results, None, is_end=False), size)
                    results, size = [], 0
        except NanoError as error:
            failure = Failure(str(error), getattr(error, "line", None))
        except MemoryError:
            if not self.alone:
                self.lacked_memory = True
                return
            failure = Failure("It needs more memory than one item may take.")
        except Exception as error:  # noqa: BLE001 - plug-ins may raise anything
            failure = Failure(f"{type(error).__name__}: {error}")
        self._send(Part(self._number, results, failure, is_end=True), size)

    def _send(self, part: Part, size: int) -> None:
        self._outbox.add(part, size)
        if not part.is_end:
            self.alone = self._is_sent_in_part = True
        if self._is_sent_in_part:
            self._outbox.flush()  # or a crash of the next item would have it done again


class _Outbox:
    """Parts on their way, sent together when they are many or have waited."""

    def __init__(self, stream: BinaryIO | Any) -> None:
        self._stream = stream
        self._parts: list[Part] = []
        self._size = 0
        self._sent = time.monotonic()

    def is_due(self) -> bool:
        return time.monotonic() - self._sent > MESSAGE_S

    def add(self, part: Part, size: int) -> None:
        self._parts.append(part)
        self._size += size
        if self._size > MESSAGE_BYTES or self.is_due():
            self.flush()

    def flush(self) -> None:
        if self._parts:
            self.send()

    def send(self) -> None:
        """Send what there is, if only the sign that all goes on."""
        self.write(pickle.dumps(self._parts, protocol=5))
        self._parts, self._size = [], 0
        self._sent = time.monotonic()

    def write(self, message: bytes) -> None:
        for piece in (len(message).to_bytes(HEADER_BYTES, "big"), message):
            view = memoryview(piece)
            while view:
                view = view[self._stream.write(view) :]


def _limit_memory(memory_bytes: int) -> None:
    """Allow so much beyond what this process has; where the system cannot say, nothing is done."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    statm = Path("/proc/self/statm")
    if statm.exists():
        pages = int(statm.read_text().split()[0])
        limit = pages * os.sysconf("SC_PAGE_SIZE") + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


def _end_with(parent_pid: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent_pid,), daemon=True).start()
    if os.getppid() != parent_pid:
        os._exit(1)


def _watch(parent_pid: int) -> None:
    while os.getppid() == parent_pid:
        time.sleep(1)
    os._exit(1)
