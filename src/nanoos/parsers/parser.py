"""What a parser is, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from nanoos.structures import Structure


@dataclass(frozen=True, slots=True)
class Parsed:
    """A structure from a file, with what the file says about it.

    A parser gives ``structure``, ``name`` (empty when the file has none) and ``extra``;
    `nanoos.parsers.read` adds the source and a name where there is none.

    ``extra`` holds only what JSON can. Where the file has them: ``citation`` (authors, title,
    journal, volume, page_first, page_last, year, doi), ``database`` and ``database_code``,
    ``mineral``, ``stated_formula``, ``stated_space_group``, ``comment``.
    """

    structure: Structure
    name: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    source_text: str = ""
    source_format: str = ""
    source_sha256: str = ""


class Parser(Protocol):
    """Reads one file format."""

    name: str
    """The format's name, as stored with each structure: ``cif``, ``poscar`` …"""

    def recognises(self, head: str, filename: str) -> bool:
        """Tell whether this is the parser's format.

        ``head`` is the beginning of the text. `nanoos.parsers.read` asks every parser first
        with an empty ``filename``: what the file contains outweighs what it is called.
        """
        ...

    def parse(self, text: str) -> list[Parsed]:
        """Return every structure in the text, at least one.

        Raises ParseError (with the line where there is one) or StructureError.
        """
        ...
