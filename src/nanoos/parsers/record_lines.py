"""JSON Lines as our own exports write them, see `nanoos.writers.jsonl`: a structure a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nanoos.errors import ParseError, StructureError
from nanoos.parsers.json_text import documents, dumps
from nanoos.parsers.optimade_entry import structure_of
from nanoos.parsers.parser import Parsed, Rejected
from nanoos.parsers.plain import plain
from nanoos.parsers.source import Source

_KIND = {"kind": "structure", "version": 1}
_OPTIMADE = {
    "lattice_vectors": "lattice_a",
    "cartesian_site_positions": "positions_a",
    "species": "species",
    "species_at_sites": "species_at_sites",
    "dimension_types": "dimension_types",
}
_SAID = {
    "citation": "citation",
    "licence": "licence",
    "database": "source",
    "database_code": "external_id",
}
"""Key of ``extra`` → field of the line."""


class RecordLines:
    """The parser of exported JSON Lines."""

    name = "jsonl"

    def recognises(self, head: bytes, filename: str) -> bool:  # noqa: ARG002 - any JSON has it
        """A first line that begins with the key ``nano_os``."""
        return head.lstrip().startswith(b'{"nano_os"')

    def parse(self, source: Source) -> Iterator[Parsed | Rejected]:
        """Yield every line's structure; what was derived of it is left to be derived again."""
        for number, values in documents(source):
            try:
                yield parsed(values)
            except (ParseError, StructureError) as error:
                yield Rejected(ParseError(str(error), line=number))


def parsed(values: Any) -> Parsed:
    """Return the structure of a line. Raises ParseError, or StructureError."""
    if isinstance(values, ParseError):
        raise values
    if not isinstance(values, dict) or values.get("nano_os") != _KIND:
        raise ParseError("The line is no structure of the version that is read.")
    structure = structure_of({theirs: values.get(ours) for theirs, ours in _OPTIMADE.items()})
    extra = plain(values.get("extra"))
    said = dict(extra) if isinstance(extra, dict) else {}
    for key, field in _SAID.items():
        if values.get(field):
            said.setdefault(key, plain(values[field]))
    name = values.get("name")
    return Parsed(structure, name if isinstance(name, str) else "", said, dumps(values) + "\n")
