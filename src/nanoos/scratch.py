"""Folders for what is not finished; those of processes that were killed are removed later."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Scratch:
    """A new folder in ``parent`` whose name begins with ``prefix``, until it is removed.

    It is locked as long as this process lives. Making one removes those beside it, of the same
    user and prefix, that nobody holds a lock of, once ``salvage`` was given them. Raises OSError
    where it cannot be made.
    """

    def __init__(
        self, parent: Path, prefix: str, salvage: Callable[[Path], None] = lambda _: None
    ) -> None:
        sweep(parent, prefix, salvage)
        self.path, self._lock = _made(parent, prefix)

    def remove(self) -> None:
        """Remove the folder with all that is in it; may be called again."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def sweep(parent: Path, prefix: str, salvage: Callable[[Path], None] = lambda _: None) -> None:
    """Remove the folders that processes which live no more left in ``parent``."""
    for left in parent.glob(f"{prefix}*"):
        # Somebody else's, in use, gone meanwhile, or on a disk that knows no locks.
        with suppress(OSError), _locked(left) as lock:
            if os.fstat(lock).st_uid == os.geteuid():
                salvage(left)
                shutil.rmtree(left)


def _made(parent: Path, prefix: str) -> tuple[Path, int | None]:
    """Make a folder and lock it; once more if somebody swept it before it was locked."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        with suppress(FileNotFoundError):
            lock = _opened(path)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
            except OSError:  # no locks on this disk: nobody sweeps it
                return path, lock
            if path.exists():
                return path, lock
            os.close(lock)


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    lock = _opened(path)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield lock
    finally:
        os.close(lock)


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
