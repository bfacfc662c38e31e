"""Artifacts in a folder of this machine.

An artifact appears under its name only when it is complete and on the disk, so a killed process
leaves nothing but a file in ``partial``, which `Folder.remove` removes.

=====================  ===================================================
``ab/cdef…``           the content whose sha256 is ``abcdef…``
``partial``            what is being written
``lock``               shared by who adds, held by who removes
=====================  ===================================================
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from api.artifacts.place import Artifact

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Folder:
    """A folder, which is made when the first artifact comes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def partial(self) -> Iterator[tuple[BinaryIO, Path]]:
        """Give a file to write a content to; it is on the disk when it is kept."""
        partial = self.path / "partial"
        partial.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=partial)
        path = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                yield stream, path
        finally:
            path.unlink(missing_ok=True)

    def keep(self, path: Path, artifact: Artifact) -> None:
        """Move it to its place, also where it is there already."""
        _sync(path)
        place = self.place(artifact.sha256)
        with self._locked(fcntl.LOCK_SH):
            place.parent.mkdir(mode=0o700, exist_ok=True)
            path.replace(place)
            _sync(place.parent)

    def place(self, sha256: str) -> Path:
        """Return where a content lies, or would."""
        return self.path / sha256[:2] / sha256[2:]

    def open(self, sha256: str) -> BinaryIO:
        """Open a content to be read. Raises FileNotFoundError."""
        return self.place(sha256).open("rb")

    def has(self, sha256: str) -> bool:
        """Return whether a content is there."""
        return self.place(sha256).exists()

    def all(self) -> Iterator[Artifact]:
        """Yield what is there, in order of the hash."""
        for path in sorted(self.path.glob("??/*")):
            if _SHA256.fullmatch(sha256 := path.parent.name + path.name):
                yield Artifact(sha256, path.stat().st_size)

    def is_old(self, sha256: str, grace_s: float) -> bool:
        """Return whether it is there and was last kept longer ago than ``grace_s``."""
        return _is_old(self.place(sha256), grace_s)

    def remove(self, hashes: Iterable[str], grace_s: float) -> None:
        """Remove contents that nobody has added anew, and what killed processes left."""
        if not self.path.is_dir():
            return
        with self._locked(fcntl.LOCK_EX):
            left = (self.path / "partial").glob("*")
            for path in [*map(self.place, hashes), *left]:
                if _is_old(path, grace_s):
                    path.unlink(missing_ok=True)

    def named(self, sha256: str) -> str:
        """Return the path."""
        return str(self.place(sha256))

    @contextmanager
    def _locked(self, kind: int) -> Iterator[None]:
        handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, kind)
            yield
        finally:
            os.close(handle)


def _is_old(path: Path, grace_s: float) -> bool:
    try:
        return time.time() - path.stat().st_mtime >= grace_s
    except FileNotFoundError:
        return False


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
