"""JSON from strangers: strict (RFC 8259, so neither NaN nor Infinity), and bounded in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, NoReturn

from nanoos.errors import ParseError
from nanoos.parsers.plain import MAX_DEPTH, clean
from nanoos.parsers.source import MAX_TEXT_BYTES, Source, decoded

MAX_MEMORY_BYTES = 700 * 1024**2
"""What a document may need when it is read: CPython's objects are larger than their text."""

_TOO_DEEP = f"The JSON is nested more than {MAX_DEPTH} levels deep."
_BYTES_PER = {"{": 240, "[": 100, ",": 40, ":": 60, '"': 35}  # of an object it begins or ends


def loads(text: str) -> Any:
    """Return the value of one JSON text.

    Raises ParseError, with the line: broken, NaN or Infinity, nested too deeply, too large.
    """
    if sum(cost * text.count(sign) for sign, cost in _BYTES_PER.items()) > MAX_MEMORY_BYTES:
        raise ParseError(
            "The JSON document holds too many values to be read at once. Split it, or write one "
            "structure a line (JSON Lines)."
        )
    try:
        value = json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise ParseError(f"The JSON is broken: {error.msg}.", line=error.lineno) from error
    except RecursionError:
        raise ParseError(_TOO_DEEP) from None
    except ValueError as error:  # an integer of more digits than Python reads
        raise ParseError(f"The JSON cannot be read: {error}.") from error
    _check_depth(value)
    return value


def dumps(value: Any) -> str:
    """Return the value as one line of JSON text."""
    return clean(json.dumps(value, ensure_ascii=False))


def documents(source: Source) -> Iterator[tuple[int | None, Any]]:
    """Yield every value: the one document of a JSON file, or each line of JSON Lines.

    With it comes its line, None for the one document. A line that is broken yields its
    ParseError. Raises ParseError when the only document is broken.
    """
    lines = _lines(source)
    head = list(islice(lines, 2))
    if len(head) < 2 or isinstance(_value(*head[0]), ParseError):
        yield None, loads(source.text)
        return
    for number, line in chain(head, lines):
        yield number, _value(number, line)


def _value(number: int, line: bytes) -> Any:
    try:
        return loads(decoded(line))
    except ParseError as error:
        return ParseError(str(error), line=number)


def _lines(source: Source) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, with their numbers."""
    with source.open() as stream:
        number = 0
        while line := stream.readline(MAX_TEXT_BYTES + 1):
            number += 1
            if len(line) > MAX_TEXT_BYTES:
                limit = MAX_TEXT_BYTES // 1024**2
                raise ParseError(f"The line is longer than {limit} MB.", line=number)
            if line.strip():
                yield number, line


def _check_depth(value: Any) -> None:
    level = [value] if isinstance(value, (list, dict)) else []
    for _ in range(MAX_DEPTH):
        values = (item.values() if isinstance(item, dict) else item for item in level)
        level = [inner for item in values for inner in item if isinstance(inner, (list, dict))]
        if not level:
            return
    raise ParseError(_TOO_DEEP)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")
