"""What a parser is, and what it returns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from nanoos.errors import NanoError
from nanoos.parsers.source import Source
from nanoos.structures import Structure


@dataclass(frozen=True, slots=True)
class Parsed:
    """A structure from a file, with what the file says about it.

    A parser gives ``structure``, ``name`` (empty when the file has none), ``extra`` and, for
    text, ``source_text``: the part of the file that this structure comes from.
    `nanoos.parsers.read_source` adds the rest, and a name where there is none.

    ``extra`` holds only what JSON can. Where the file has them: ``citation`` (authors, title,
    journal, volume, page_first, page_last, year, doi), ``database`` and ``database_code``,
    ``mineral``, ``licence``, ``stated_formula``, ``stated_space_group``, ``comment``.

    ``place`` counts the structures of a file from 1, those that could not be read included.
    """

    structure: Structure
    name: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    source_text: str = ""
    source_format: str = ""
    source_sha256: str = ""
    place: int = 1


@dataclass(frozen=True, slots=True)
class Rejected:
    """One structure of a file that could not be read, and why; those beside it can."""

    error: NanoError
    place: int = 1
    source_format: str = ""
    source_sha256: str = ""


class Parser(Protocol):
    """Reads one file format."""

    name: str
    """The format's name, as stored with each structure: ``cif``, ``poscar`` …"""

    def recognises(self, head: bytes, filename: str) -> bool:
        """Tell whether this is the parser's format.

        ``head`` is the beginning of the content, uncompressed. `nanoos.parsers.read` asks every
        parser first with an empty ``filename``: what the file contains outweighs what it is called.
        """
        ...

    def parse(self, source: Source) -> Iterator[Parsed | Rejected]:
        """Yield every structure in order, at least one, without keeping them all in memory.

        Raises ParseError (with the line where there is one) or StructureError when the rest of
        the source cannot be read. One structure of several that is wrong by itself is Rejected.
        """
        ...
