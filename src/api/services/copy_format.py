"""Values in PostgreSQL's binary COPY format.

See "Binary Format" in PostgreSQL's documentation of COPY, and the ``*_send`` functions of its
types: every value is preceded by its length in bytes, -1 standing for NULL; numbers are
big-endian. Each function raises ValueError for what the database could not store.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
TRAILER = struct.pack("!h", -1)
NULL = struct.pack("!i", -1)

_INT2_OID, _TEXT_OID, _FLOAT8_OID = 21, 25, 701  # pg_type.dat
_FLOAT8_ELEMENT = np.dtype([("length", ">i4"), ("value", ">f8")])


def uuid(value: UUID) -> bytes:
    """Return a ``uuid``."""
    return _LENGTH(16) + value.bytes


def boolean(value: bool) -> bytes:
    """Return a ``boolean``."""
    return _TRUE if value else _FALSE


def smallint(value: int) -> bytes:
    """Return a ``smallint``."""
    return _within(_SMALLINT, 2, value)


def integer(value: int) -> bytes:
    """Return an ``integer``."""
    return _within(_INTEGER, 4, value)


def float8(value: float) -> bytes:
    """Return a ``double precision``."""
    return _FLOAT8(8, value)


def text(value: str) -> bytes:
    """Return a ``text``."""
    if "\0" in value:
        raise ValueError("a text holds a zero character")
    return _sized(value.encode())


def jsonb(value: str) -> bytes:
    """Return a ``jsonb`` of JSON text."""
    if r"\u0000" in value:
        raise ValueError("a text holds a zero character")
    return _sized(b"\x01" + value.encode())


def texts(values: Sequence[str]) -> bytes:
    """Return a ``text[]``."""
    return _array(_TEXT_OID, (len(values),), b"".join(map(_element, values)))


def smallints(values: Sequence[int]) -> bytes:
    """Return a ``smallint[]``."""
    return _array(_INT2_OID, (len(values),), b"".join(map(smallint, values)))


def floats(values: Sequence[float] | NDArray[np.float64]) -> bytes:
    """Return a ``double precision[]`` of an array, of as many dimensions, or of a few numbers."""
    if not isinstance(values, np.ndarray):  # NumPy would take longer than it saves
        numbers = array("d", values)
        return _array(_FLOAT8_OID, (len(numbers),), b"".join([_FLOAT8(8, n) for n in numbers]))
    elements = np.empty(values.size, _FLOAT8_ELEMENT)
    elements["length"] = 8
    elements["value"] = values.ravel()
    return _array(_FLOAT8_OID, values.shape, elements.tobytes())


ENCODERS: dict[str, Callable[[Any], bytes]] = {
    "uuid": uuid,
    "boolean": boolean,
    "smallint": smallint,
    "int": integer,
    "float8": float8,
    "text": text,
    "jsonb": jsonb,
    "text[]": texts,
    "smallint[]": smallints,
    "float8[]": floats,
}
"""How a value of each type is written."""


def fields(columns: Mapping[str, str], values: Mapping[str, Any]) -> bytes:
    """Return the fields of ``columns``, name → type, one after another, without the row's head."""
    return b"".join(
        [
            NULL if (value := values[name]) is None else ENCODERS[type_](value)
            for name, type_ in columns.items()
        ]
    )


def replaced(row: bytes, place: int, field: bytes) -> bytes:
    """Return the fields of a row with the one at ``place``, counted from 0, replaced."""
    begin = 0
    for _ in range(place):
        begin = _end(row, begin)
    return row[:begin] + field + row[_end(row, begin) :]


def _end(row: bytes, begin: int) -> int:
    length: int = struct.unpack_from("!i", row, begin)[0]
    return begin + 4 + max(length, 0)  # NULL has -1


_LENGTH = struct.Struct("!i").pack
_SMALLINT = struct.Struct("!ih").pack
_INTEGER = struct.Struct("!ii").pack
_FLOAT8 = struct.Struct("!id").pack
_ARRAY = struct.Struct("!iiI").pack
_element = lru_cache(4096)(text)  # symbols and names of species, the same ones in most rows
_TRUE, _FALSE = _LENGTH(1) + b"\x01", _LENGTH(1) + b"\x00"


def _sized(value: bytes) -> bytes:
    return _LENGTH(len(value)) + value


def _within(pack: Callable[..., bytes], size: int, value: int) -> bytes:
    try:
        return pack(size, value)
    except struct.error:
        raise ValueError(f"{value} does not fit into {size} bytes") from None


def _array(element_oid: int, shape: tuple[int, ...], elements: bytes) -> bytes:
    shape = shape if all(shape) else ()  # an empty array has no dimension
    dimensions = b"".join([_INTEGER(length, 1) for length in shape])
    return _sized(_ARRAY(len(shape), 0, element_oid) + dimensions + elements)
