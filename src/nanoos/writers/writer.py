"""What a writer is, and what those of text formats have in common."""

from __future__ import annotations

import bz2
import gzip
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Protocol, TextIO

import zstandard

from nanoos.writers.record import Record

Add = Callable[[Record], None]
"""Writes one more record. Raises StructureError, and writes nothing, when the format has no
place for what the structure is."""


class Writer(Protocol):
    """Writes one file format, record by record."""

    name: str
    """The format's name: ``cif``, ``poscar`` …"""

    suffixes: tuple[str, ...]
    """How names of such files end, the usual one first: ``.cif`` …"""

    stems: tuple[str, ...]
    """How names of such files begin that need no ending, in lower case: ``poscar`` …"""

    one_per_file: bool
    """A file holds exactly one structure."""

    def open(self, path: Path) -> AbstractContextManager[Add]:
        """Begin a new file; it is complete when the context ends without an error."""
        ...


class TextWriter(ABC):
    """A writer of a text format; files that end in .gz, .bz2 or .zst are compressed."""

    name: str
    suffixes: tuple[str, ...]
    stems: tuple[str, ...] = ()
    one_per_file: bool = False

    @abstractmethod
    def encoder(self) -> Callable[[Record], str]:
        """Return what makes the text of one record after another, for one file."""

    def head(self) -> str:
        """Return what the file begins with."""
        return ""

    def into(self, stream: TextIO) -> Add:
        """Begin to write into a stream."""
        encode = self.encoder()
        stream.write(self.head())

        def add(record: Record) -> None:
            stream.write(encode(record))

        return add

    @contextmanager
    def open(self, path: Path) -> Iterator[Add]:
        """Begin a new file."""
        with _text(path) as stream:
            yield self.into(stream)


COMPRESSIONS = (".gz", ".bz2", ".zst")


@contextmanager
def _text(path: Path) -> Iterator[TextIO]:
    """Open a file for text, compressed as its name says; nothing of the clock goes into it."""
    with path.open("wb") as raw:
        packed: Any
        if path.suffix == ".gz":
            packed = gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0)
        elif path.suffix == ".bz2":
            packed = bz2.BZ2File(raw, "wb")
        elif path.suffix == ".zst":
            packed = zstandard.ZstdCompressor().stream_writer(raw, closefd=False)
        else:
            packed = raw
        with TextIOWrapper(packed, encoding="utf-8", newline="\n") as stream:
            yield stream
