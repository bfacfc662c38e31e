"""ASE's databases in SQLite (``.db``), row by row.

Format: ``ase.db.sqlite``, versions 5 to 9.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanoos.errors import ParseError, StructureError
from nanoos.parsers.arrays import DTYPES
from nanoos.parsers.ase_atoms import parsed_row, undumped
from nanoos.parsers.json_text import loads
from nanoos.parsers.parser import Parsed, Rejected
from nanoos.parsers.plain import plain
from nanoos.parsers.source import Source
from nanoos.parsers.sqlite import MAGIC, database

_VERSIONS = range(5, 10)
_MAX_DATA_BYTES = 1024**2
_STEPS = 100_000  # of SQLite's virtual machine between two looks; a row takes some fifty
_MAX_LOOKS = 20  # at one row

_ARRAYS: dict[str, tuple[str, tuple[int, ...]]] = {
    "numbers": ("<i4", (-1,)),
    "positions": ("<f8", (-1, 3)),
    "cell": ("<f8", (3, 3)),
    "initial_magmoms": ("<f8", (-1,)),
    "initial_charges": ("<f8", (-1,)),
    "tags": ("<i4", (-1,)),
    "forces": ("<f8", (-1, 3)),
    "stress": ("<f8", (-1,)),
    "magmoms": ("<f8", (-1,)),
}
_VALUES = (
    *("calculator", "calculator_parameters", "energy", "free_energy", "magmom", "unique_id"),
)
_COLUMNS = ("id", "pbc", "key_value_pairs", "data", *_ARRAYS, *_VALUES)
_DECLARED = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = 'systems'"
_VERSION = "SELECT value FROM information WHERE name = 'version'"
_ROWS = f"SELECT {', '.join(_COLUMNS)} FROM systems"  # noqa: S608 - our own names


class AseDatabase:
    """The parser of ASE's databases."""

    name = "ase_db"

    def recognises(self, head: bytes, filename: str) -> bool:
        """An SQLite database (which it is shows when it is read), or a name ending in .db."""
        return head.startswith(MAGIC) or filename.lower().endswith(".db")

    def parse(self, source: Source) -> Iterator[Parsed | Rejected]:
        """Yield every row; ``extra`` holds its key–value pairs, its data and its ids."""
        for row_id, row in rows(source):
            try:
                if isinstance(row, ParseError):
                    raise row
                yield _parsed(row)
            except (ParseError, StructureError) as error:
                yield Rejected(ParseError(f"Row {row_id}: {error}"))


def rows(source: Source) -> Iterator[tuple[Any, Mapping[str, Any] | ParseError]]:
    """Yield each row's id, and the row as `nanoos.parsers.ase_atoms.parsed_row` takes it.

    A row that is damaged by itself is its error. Raises ParseError where the rest cannot be read
    or where there is no row.
    """
    row_id = None
    with source.local_path() as path, database(path) as opened:
        _check(opened)
        for values in _rows(opened):
            row = dict(zip(_COLUMNS, values, strict=True))
            row_id = row["id"]
            try:
                yield row_id, _undumped(row)
            except ParseError as error:
                yield row_id, error
    if row_id is None:
        raise ParseError("The database has no row.")


def _check(opened: sqlite3.Connection) -> None:
    declared = opened.execute(_DECLARED).fetchone()
    if declared is None or not str(declared[0]).upper().startswith("CREATE TABLE"):
        raise ParseError("The SQLite database is none of ASE's: it has no table 'systems'.")
    found = opened.execute(_VERSION).fetchone()
    version = str(found[0]) if found else "none"
    if version not in map(str, _VERSIONS):
        raise ParseError(
            f"The ASE database has the version {version}; those from {_VERSIONS[0]} to "
            f"{_VERSIONS[-1]} are read. An older one is converted by: python -m ase.db.convert FILE"
        )


def _rows(opened: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    """Yield the rows as they lie, without keeping them; none may keep SQLite busy."""
    looks = 0

    def is_too_long() -> bool:
        nonlocal looks
        looks += 1
        return looks > _MAX_LOOKS

    opened.set_progress_handler(is_too_long, _STEPS)
    rows = opened.execute(_ROWS)
    while (values := rows.fetchone()) is not None:
        looks = 0
        yield values


def _parsed(row: Mapping[str, Any]) -> Parsed:
    extra = {"ase_db_id": row["id"], "ase_unique_id": plain(row["unique_id"])}
    if row["data_left_out"]:
        extra["data_left_out"] = row["data_left_out"]
    parsed = parsed_row(row)
    return replace(parsed, extra=parsed.extra | extra)


def _undumped(row: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(row)
    for name, (kind, shape) in _ARRAYS.items():
        values[name] = _array(row[name], name, kind, shape)
    if not isinstance(row["pbc"], int | None) or not isinstance(row["key_value_pairs"], str):
        raise ParseError("The column pbc or key_value_pairs is of another type.")
    values["pbc"] = [(row["pbc"] or 0) & bit for bit in (1, 2, 4)]
    values["key_value_pairs"] = undumped(loads(row["key_value_pairs"]))
    values["data"], values["data_left_out"] = _data(row["data"])
    return values


def _array(value: Any, name: str, kind: str, shape: tuple[int, ...]) -> NDArray[Any] | None:
    if value is None:
        return None
    try:
        return np.frombuffer(value, kind).reshape(shape)
    except (TypeError, ValueError):
        raise ParseError(f"The column {name} holds no array of its shape.") from None


def _data(value: Any) -> tuple[Any, str]:
    """Return what a row keeps under ``data``, and why not if it is left out.

    Since version 9 it is binary (`ase.db.core.object_to_bytes`): the position of a JSON text,
    arrays, and the text, which refers to them.
    """
    if value is None:
        return None, ""
    if not isinstance(value, str | bytes):
        return None, "damaged: it is a number"
    if len(value) > _MAX_DATA_BYTES:
        return None, f"larger than {_MAX_DATA_BYTES // 1024**2} MB"
    try:
        if isinstance(value, str):
            return undumped(loads(value)), ""
        start = int(np.frombuffer(value[:8], "<i8")[0])
        return _with_arrays(loads(value[start:].decode()), value), ""
    except (TypeError, ValueError, OverflowError, ParseError) as error:
        return None, f"damaged: {error}"


def _with_arrays(value: Any, data: bytes) -> Any:
    """Return JSON with the arrays that it refers to, as nested lists."""
    if isinstance(value, list):
        return [_with_arrays(item, data) for item in value]
    if not isinstance(value, dict):
        return value
    if "__ndarray__" in value:
        shape, kind, start = value["__ndarray__"]
        if kind not in DTYPES:
            raise ParseError(f"an array of {kind}")
        return np.frombuffer(data, kind, math.prod(shape), start).reshape(shape).tolist()
    return {key: _with_arrays(item, data) for key, item in value.items()}
