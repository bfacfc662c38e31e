"""ULM, the container of ASE's trajectories: JSON and arrays in one file, one item after another.

Layout: the docstring of ``ase.io.ulm``. Nothing in it is code, and none of it is run: of an
item only JSON and plain numbers are read, and never more than the file holds.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from nanoos.errors import ParseError
from nanoos.parsers.arrays import DTYPES
from nanoos.parsers.json_text import loads

MAGICS = (b"- of Ulm", b"AFFormat")  # the second is how its first versions begin
_TAG_BYTES = 16
_MAX_JSON_BYTES = 32 * 1024**2


class Ulm:
    """An open ULM file. Raises ParseError where the file is not what its header says."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._size = self._left = stream.seek(0, 2)
        head = self._read(0, 48)
        if not head.startswith(MAGICS):
            raise ParseError("The file is no ULM file: it does not begin like one.")
        self.tag = head[8 : 8 + _TAG_BYTES].decode("ascii", "replace").strip()
        _, n_items, position = (int(n) for n in np.frombuffer(head[24:], "<i8"))
        if n_items < 0:
            raise ParseError("The file is damaged: it has a negative number of items.")
        self._offsets = np.frombuffer(self._read(position, 8 * n_items), "<i8")

    def __len__(self) -> int:
        return len(self._offsets)

    def item(self, number: int, only: Container[str] | None = None) -> Mapping[str, Any]:
        """Return one item, its arrays read, an item within it as a mapping.

        ``only`` names what is wanted of it; the rest, which may be large, is not read.
        """
        start = int(self._offsets[number])
        length = int(np.frombuffer(self._read(start, 8), "<i8")[0])
        if length > _MAX_JSON_BYTES:
            raise ParseError("The file is damaged: an item is longer than any.")
        try:
            values = loads(self._read(start + 8, length).decode())
        except UnicodeDecodeError:
            raise ParseError("The file is damaged: an item is not UTF-8 text.") from None
        if not isinstance(values, dict):
            raise ParseError("The file is damaged: an item is not an object.")
        order = "<" if values.pop("_little_endian", True) else ">"
        if only is not None:
            values = {key: value for key, value in values.items() if key.rstrip(".") in only}
        self._left = self._size  # arrays do not overlap
        return self._resolved(values, order)

    def _resolved(self, values: Mapping[str, Any], order: str) -> dict[str, Any]:
        """Return the values with arrays and inner items, whose names end in a dot, in place."""
        found = {}
        for name, value in values.items():
            if name.endswith(".") and isinstance(value, dict):
                inner = "ndarray" not in value
                found[name[:-1]] = (
                    self._resolved(value, order) if inner else self._array(value["ndarray"], order)
                )
            else:
                found[name] = value
        return found

    def _array(self, reference: Any, order: str) -> NDArray[Any]:
        try:
            shape, dtype, offset = reference
            count, offset = math.prod(shape), int(offset)
            known = dtype in DTYPES and all(isinstance(n, int) and n >= 0 for n in shape)
        except (TypeError, ValueError):
            known = False
        if not known:
            raise ParseError("The file is damaged: an array has no shape or type that is known.")
        kind = np.dtype(dtype).newbyteorder(order)
        self._left -= count * kind.itemsize
        if self._left < 0:
            raise ParseError("The file is damaged: an item's arrays are larger than the file.")
        data = self._read(offset, count * kind.itemsize)
        return np.frombuffer(data, kind).reshape(shape)

    def _read(self, offset: int, length: int) -> bytes:
        if not (0 <= offset <= self._size and 0 <= length <= self._size - offset):
            raise ParseError("The file is cut short or damaged: it points beyond its end.")
        self._stream.seek(offset)
        return self._stream.read(length)
