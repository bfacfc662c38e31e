"""ASE's databases in JSON (``.json``): an object of rows, and the list ``ids`` of their keys.

Format: ``ase.db.jsondb``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from nanoos.errors import ParseError, StructureError
from nanoos.parsers.ase_atoms import parsed_row, undumped
from nanoos.parsers.json_text import dumps, loads
from nanoos.parsers.parser import Parsed, Rejected
from nanoos.parsers.source import Source

_FIRST_ROW = re.compile(rb'\A\s*\{\s*"\d+"\s*:\s*\{')
_KEYS = (b'"__ndarray__"', b'"numbers"', b'"ctime"')


class AseJson:
    """The parser of ASE's databases in JSON."""

    name = "ase_json"

    def recognises(self, head: bytes, filename: str) -> bool:  # noqa: ARG002 - any JSON file has it
        """An object whose first key is a number, and below it a key of ASE's rows."""
        return _FIRST_ROW.match(head) is not None and any(key in head for key in _KEYS)

    def parse(self, source: Source) -> Iterator[Parsed | Rejected]:
        """Yield every row; ``extra`` holds its key–value pairs, its data and its ids."""
        for row_id, row in _dumped(source):
            try:
                yield _parsed(row, row_id)
            except (ParseError, StructureError) as error:
                yield Rejected(ParseError(f"Row {row_id}: {error}"))


def rows(source: Source) -> Iterator[tuple[Any, Mapping[str, Any] | ParseError]]:
    """Yield each row's id, and the row as `nanoos.parsers.ase_atoms.parsed_row` takes it.

    A row that is damaged by itself is its error. Raises ParseError where there is no row.
    """
    for row_id, row in _dumped(source):
        try:
            yield row_id, _undumped(row)
        except ParseError as error:
            yield row_id, error


def _dumped(source: Source) -> Iterator[tuple[Any, Any]]:
    found = loads(source.text)
    found = found if isinstance(found, dict) else {}
    ids = found.get("ids") or [key for key in found if key.isdecimal()]
    if not isinstance(ids, list) or not ids:
        raise ParseError("The database has no row.")
    for row_id in ids:
        yield row_id, found.get(str(row_id))


def _undumped(row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise ParseError("It is missing, or no object.")
    return {key: undumped(value) for key, value in row.items()}


def _parsed(row: Any, row_id: Any) -> Parsed:
    parsed = parsed_row(_undumped(row))
    extra = {"ase_db_id": row_id, "ase_unique_id": row.get("unique_id")}
    return replace(parsed, extra=parsed.extra | extra, source_text=dumps(row))
