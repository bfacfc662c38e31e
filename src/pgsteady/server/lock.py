"""Whether a server lives, told by a lock that every process of it inherits.

Process numbers cannot tell: they are reused, and hidden from other containers.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pgsteady.errors import ClusterError

POLL_S = 0.005
_DEATH_S = 5.0
"""How long the kernel may take to end a killed process."""


class ServerLock:
    """An exclusive ``flock`` on a file; it is free once the last process that has it ends."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def acquire(self) -> int | None:
        """Return the lock as an open file for child processes, or None while another holds it.

        Raises:
            ClusterError: the file cannot be opened.
        """
        try:
            file = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ClusterError(
                f"{self._file.parent} cannot be used: {error.strerror}.",
                hint="It may belong to somebody else.",
            ) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return None
        return file

    @property
    def taken(self) -> bool:
        """Whether any process holds the lock."""
        lock = self.acquire()
        if lock is None:
            return True
        os.close(lock)
        return False

    @contextmanager
    def held(self) -> Iterator[int]:
        """Hold the lock; yields it for child processes, which hold it as long as they live.

        Raises:
            ClusterError: another process holds it.
        """
        lock = self.acquire()
        if lock is None:
            raise ClusterError(f"A PostgreSQL program is at work in {self._file.parent}.")
        try:
            yield lock
        finally:
            os.close(lock)

    def evict(self) -> None:
        """Kill every other process that holds the lock.

        Raises:
            ClusterError: one of them is out of our reach.
        """
        deadline = time.monotonic() + _DEATH_S
        while self.taken and time.monotonic() < deadline:
            self._kill_holders()  # again: one may have forked another meanwhile
            wait_until(lambda: not self.taken, _DEATH_S / 10)
        if self.taken:
            raise ClusterError(
                f"Processes that cannot be ended from here use {self._file.parent}.",
                hint="If a container shares this folder, end them there.",
            )

    def _kill_holders(self) -> None:
        import psutil

        path = str(self._file.resolve())
        for process in psutil.process_iter():
            try:
                holds = any(file.path == path for file in process.open_files())
                if holds and process.pid != os.getpid():
                    process.kill()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue


def wait_until(condition: Callable[[], bool], patience_s: float) -> bool:
    """Wait for a condition; return whether it came true in time."""
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True
