"""Contents by their hashes, checked where they are read; each is stored once and never changed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from api.artifacts.folder import Folder
from api.artifacts.place import Artifact, Place
from api.artifacts.remote import Remote
from api.errors import ArtifactDamaged, NotFound

GRACE_S = 24 * 3600.0
"""What is younger may belong to a result that is about to be stored."""
_BLOCK_BYTES = 1024**2
_SHA256 = re.compile(r"[0-9a-f]{64}")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


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
    """The artifacts in a folder, or at a URL of fsspec. Made cheaply, and anew in each process."""

    def __init__(self, where: str | Path) -> None:
        self._place: Place
        if isinstance(where, str) and _URL.match(where):
            self._place = Remote(where, renewed_s=GRACE_S / 2)
        else:
            self._place = Folder(Path(where))

    @contextmanager
    def adding(self) -> Iterator[Incoming]:
        """Give what takes the content; it is stored when the context ends without an error."""
        with self._place.partial() as (stream, path):
            incoming = Incoming(stream)
            yield incoming
            stream.flush()
            incoming.artifact = incoming.known_as()
            self._place.keep(path, incoming.artifact)

    def blocks(self, sha256: str) -> Iterator[bytes]:
        """Yield the content. Raises NotFound, and ArtifactDamaged at its end if it is another."""
        where, digest = self.named(sha256), hashlib.sha256()
        try:
            with self._place.open(sha256) as stream:
                while block := stream.read(_BLOCK_BYTES):
                    digest.update(block)
                    yield block
        except FileNotFoundError:
            raise NotFound(
                f"There is no artifact {sha256} at {where}. "
                "Import the run again, or restore the file from a backup."
            ) from None
        if digest.hexdigest() != sha256:
            raise ArtifactDamaged(
                f"The artifact {where} is damaged: its content is not what its name says. "
                "Remove it and import the run again, or restore the file from a backup."
            )

    def named(self, sha256: str) -> str:
        """Return where it lies, or would. Raises NotFound for what is no hash."""
        if not _SHA256.fullmatch(sha256):
            raise NotFound(f"{sha256!r} is no sha256: 64 digits 0-9, a-f.")
        return self._place.named(sha256)

    def are_there(self, wanted: Iterable[str]) -> bool:
        """Return whether all of these artifacts are stored."""
        return all(self._place.has(sha256) for sha256 in wanted)

    def all(self) -> Iterator[Artifact]:
        """Yield what is there, in order of the hash."""
        return self._place.all()

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
            if artifact.sha256 not in kept and self._place.is_old(artifact.sha256, grace_s)
        ]

    def remove(self, artifacts: Iterable[Artifact], grace_s: float = GRACE_S) -> None:
        """Remove artifacts that nobody has added anew, and what killed processes left."""
        self._place.remove([artifact.sha256 for artifact in artifacts], grace_s)
