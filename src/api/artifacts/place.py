"""Where artifacts lie: what a folder and a storage elsewhere have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol


class Artifact(NamedTuple):
    """A stored content: its hash and its size in bytes."""

    sha256: str
    size_bytes: int


class Place(Protocol):
    """Keeps contents under their hashes. Each is there whole, or not at all."""

    def partial(self) -> AbstractContextManager[tuple[BinaryIO, Path]]:
        """Give a file on this machine to write a content to; it is gone afterwards."""

    def keep(self, path: Path, artifact: Artifact) -> None:
        """Keep what was written to ``path``; what is there already is young again, and whole."""

    def open(self, sha256: str) -> AbstractContextManager[BinaryIO]:
        """Open a content to be read. Raises FileNotFoundError."""

    def has(self, sha256: str) -> bool:
        """Return whether a content is there."""

    def all(self) -> Iterator[Artifact]:
        """Yield what is there, in order of the hash."""

    def is_old(self, sha256: str, grace_s: float) -> bool:
        """Return whether it is there and was last kept longer ago than ``grace_s``."""

    def remove(self, hashes: Iterable[str], grace_s: float) -> None:
        """Remove contents that are old still, and what killed processes left."""

    def named(self, sha256: str) -> str:
        """Return where a content lies, or would, for people to read."""
