"""Artifacts: files that results have beside their numbers, known by the hash of their content.

An artifact is written once and never changed; equal content is there once. It appears under its
name only when it is complete and on the disk, so a killed process leaves nothing but a file in
``partial``, which `Artifacts.collect` removes.

=====================  ===================================================
``ab/cdef…``           the content whose sha256 is ``abcdef…``
``partial``            what is being written
``lock``               shared by who adds, held by who removes
=====================  ===================================================
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

from api.errors import ArtifactDamaged, NotFound

GRACE_S = 24 * 3600.0
"""What is younger may belong to a result that is about to be stored."""
_BLOCK_BYTES = 1024**2
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Artifact(NamedTuple):
    """A stored content: its hash and its size in bytes."""

    sha256: str
    size_bytes: int


@dataclass
class Incoming:
    """A stream that is being stored; ``artifact`` says as what, once it is."""

    stream: BinaryIO
    artifact: Artifact | None = None
    _digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    _size_bytes: int = 0

    def write(self, data: bytes) -> int:
        """Write bytes."""
        self._digest.update(data)
        self._size_bytes += len(data)
        return self.stream.write(data)

    def flush(self) -> None:
        """Do nothing: all is flushed at the end."""

    def known_as(self) -> Artifact:
        """Return what was written so far, as an artifact."""
        return Artifact(self._digest.hexdigest(), self._size_bytes)


class Artifacts:
    """The artifacts in a folder, which is made when the first one comes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def adding(self) -> Iterator[Incoming]:
        """Give what takes the content; it is stored when the context ends without an error."""
        partial = self.folder / "partial"
        partial.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=partial)
        path = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                incoming = Incoming(stream)
                yield incoming
                stream.flush()
                os.fsync(handle)
            incoming.artifact = incoming.known_as()
            self._keep(path, incoming.artifact)
        finally:
            path.unlink(missing_ok=True)

    def _keep(self, path: Path, artifact: Artifact) -> None:
        place = self.path(artifact.sha256)
        with self._locked(fcntl.LOCK_SH):
            place.parent.mkdir(mode=0o700, exist_ok=True)
            path.replace(place)  # also of what is there: it is young again, and whole
            _sync(place.parent)

    def path(self, sha256: str) -> Path:
        """Return where an artifact lies, or would. Raises NotFound for what is no hash."""
        if not _SHA256.fullmatch(sha256):
            raise NotFound(f"{sha256!r} is no sha256: 64 digits 0-9, a-f.")
        return self.folder / sha256[:2] / sha256[2:]

    def blocks(self, sha256: str) -> Iterator[bytes]:
        """Yield the content. Raises NotFound, and ArtifactDamaged at its end if it is another."""
        path, digest = self.path(sha256), hashlib.sha256()
        try:
            with path.open("rb") as stream:
                while block := stream.read(_BLOCK_BYTES):
                    digest.update(block)
                    yield block
        except FileNotFoundError:
            raise NotFound(
                f"There is no artifact {sha256} in {self.folder}. "
                "Import the run again, or restore the file from a backup."
            ) from None
        if digest.hexdigest() != sha256:
            raise ArtifactDamaged(
                f"The artifact {path} is damaged: its content is not what its name says. "
                "Remove it and import the run again, or restore the file from a backup."
            )

    def are_there(self, wanted: Iterable[str]) -> bool:
        """Return whether all of these artifacts are stored."""
        return all(self.path(sha256).exists() for sha256 in wanted)

    def all(self) -> Iterator[Artifact]:
        """Yield what is there, in order of the hash."""
        for path in sorted(self.folder.glob("??/*")):
            if _SHA256.fullmatch(sha256 := path.parent.name + path.name):
                yield Artifact(sha256, path.stat().st_size)

    def verify(self, wanted: Iterable[str]) -> Iterator[str]:
        """Yield what is wrong: artifacts that are damaged, and wanted ones that are missing."""
        there = {artifact.sha256 for artifact in self.all()}
        for sha256 in sorted(there | set(wanted)):
            try:
                for _ in self.blocks(sha256):
                    pass
            except (NotFound, ArtifactDamaged) as error:
                yield str(error)

    def unwanted(self, wanted: Iterable[str], grace_s: float = GRACE_S) -> list[Artifact]:
        """Return what nothing refers to and has been there for longer than ``grace_s``."""
        kept = set(wanted)
        return [
            artifact
            for artifact in self.all()
            if artifact.sha256 not in kept and _is_old(self.path(artifact.sha256), grace_s)
        ]

    def remove(self, artifacts: Iterable[Artifact], grace_s: float = GRACE_S) -> None:
        """Remove artifacts that nobody has added anew, and what killed processes left."""
        if not self.folder.is_dir():
            return
        with self._locked(fcntl.LOCK_EX):
            left = (self.folder / "partial").glob("*")
            for path in [*(self.path(one.sha256) for one in artifacts), *left]:
                if _is_old(path, grace_s):
                    path.unlink(missing_ok=True)

    @contextmanager
    def _locked(self, kind: int) -> Iterator[None]:
        handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
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


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
