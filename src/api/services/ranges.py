"""Ranges in SQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Integer, literal

from api.schemas.notation import EXACT, Range

_LARGEST = 2**63  # of SQL's BIGINT


def within(column: Any, wanted: Range[Any]) -> Iterator[ColumnElement[bool]]:
    """Yield both ends; a single measured number is met by what is as good as equal."""
    first, last = wanted.ends
    if first == last and isinstance(first, float):
        first, last = first - EXACT, first + EXACT
    if first == last:
        yield column == _bound(column, first)
        return
    if first is not None:
        yield column >= _bound(column, first)
    if last is not None:
        yield column <= _bound(column, last)


def _bound(column: Any, end: Any) -> Any:
    """Return an end of a range; an integer may be larger than the column's are."""
    if not isinstance(column.type, Integer):
        return end
    return literal(max(-_LARGEST, min(end, _LARGEST - 1)), BigInteger)
