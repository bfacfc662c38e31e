"""Sorting, and pages by keyset: a cursor holds where the page before ended.

Unknown values come last in either direction, and the identifier settles what is equal, so the
order is total and a page costs the same however far in it is.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    DateTime,
    UnaryExpression,
    Uuid,
    and_,
    false,
    literal,
    or_,
    true,
)

from api.errors import QueryNotUnderstood
from api.optimade.comparisons import Condition, Kind
from api.optimade.properties import SQL_TYPES, Entries, Property

_TYPES: dict[Kind, Any] = {
    **SQL_TYPES,
    Kind.IDENTIFIER: Uuid,
    Kind.TIMESTAMP: DateTime(timezone=True),
}
_LARGEST = 2**31  # of SQL's INTEGER


class Key(NamedTuple):
    """One property that entries are sorted by."""

    by: Property
    descending: bool

    @property
    def name(self) -> str:
        """The key as a query writes it."""
        return f"-{self.by.name}" if self.descending else self.by.name

    def ordered(self, column: Any) -> UnaryExpression[Any]:
        """Return what SQL orders by."""
        sql = self.collated(column)
        found: UnaryExpression[Any] = (sql.desc() if self.descending else sql.asc()).nulls_last()
        return found

    def collated(self, column: Any) -> Any:
        """Return the column as it is compared: strings by code points, whatever the locale."""
        return column.collate("C") if self.by.kind is Kind.STRING else column


class Order(NamedTuple):
    """The keys of a sort, and the place in it behind which a page begins.

    The last key is the identifier; ``place`` has a value for each.
    """

    keys: tuple[Key, ...]
    place: tuple[Any, ...] | None = None

    @property
    def name(self) -> str:
        """The sort as a query writes it, without the identifier that is added."""
        return ",".join(key.name for key in self.keys[:-1])

    @property
    def columns(self) -> list[Any]:
        """What is sorted by, each with a label."""
        return [key.by.labelled(f"key_{i}") for i, key in enumerate(self.keys)]

    def sql(self, columns: Sequence[Any]) -> list[UnaryExpression[Any]]:
        """Return what SQL orders by."""
        return [key.ordered(column) for key, column in zip(self.keys, columns, strict=True)]

    def behind(self, columns: Sequence[Any]) -> Condition:
        """Return the condition that an entry comes behind the place."""
        if self.place is None:
            return true()
        found: Condition = false()
        keyed = zip(self.keys, columns, self.place, strict=True)
        for key, column, value in reversed(list(keyed)):
            found = _beyond(key, column, value, found)
        return found

    def cursor(self, values: Sequence[Any]) -> str:
        """Return the text from which `from_cursor` knows the place of these values."""
        document = json.dumps([self.name, [_written(value) for value in values]])
        return base64.urlsafe_b64encode(document.encode()).decode().rstrip("=")

    def from_cursor(self, cursor: str) -> Order:
        """Return the order behind the cursor's place; raises QueryNotUnderstood for none."""
        try:
            padded = cursor + "=" * (-len(cursor) % 4)
            name, written = json.loads(base64.b64decode(padded, b"-_", validate=True))
            keyed = zip(self.keys, written, strict=True)
            place = tuple(_read(key.by.kind, value) for key, value in keyed)
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            name, place = None, ()
        if name != self.name or not place or place[-1] is None:
            raise QueryNotUnderstood("page_cursor is none that links.next gave for this sort.")
        return self._replace(place=place)


def order(text: str, entries: Entries) -> Order:
    """Read ``sort``: names with commas between them, each with - before it to turn it around."""
    names = [name for name in text.split(",") if name]
    keys = []
    for name in names:
        found = entries.find(name.removeprefix("-"))
        if found is None or not found.is_sortable:
            raise QueryNotUnderstood(
                f"Nothing is sorted by {name.removeprefix('-')}; see sortable in"
                f" /info/{entries.type}."
            )
        keys.append(Key(found, name.startswith("-")))
    return Order((*keys, Key(entries.properties["id"], False)))


def _beyond(key: Key, column: Any, value: Any, later: Condition) -> Condition:
    """Return: beyond the value by this key, or equal by it and ``later`` by the next."""
    if value is None:
        return and_(column.is_(None), later)
    sql, bound = key.collated(column), literal(value, _TYPES[key.by.kind])
    ahead = sql < bound if key.descending else sql > bound
    equal = and_(sql == bound, later)
    is_last = key.by.name == "id"
    return or_(ahead, equal) if is_last else or_(ahead, column.is_(None), equal)


def _written(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def _read(kind: Kind, value: Any) -> Any:
    """Return a cursor's value as the database knows it.

    Raises ValueError, TypeError or OverflowError for any other.
    """
    if value is None:
        return None
    if kind is Kind.IDENTIFIER:
        return UUID(value)
    if kind is Kind.TIMESTAMP:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError(value)
        return moment.astimezone(UTC)
    expected = {Kind.INTEGER: int, Kind.FLOAT: float, Kind.BOOLEAN: bool, Kind.STRING: str}[kind]
    if type(value) is not expected:
        raise TypeError(value)
    if isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        raise OverflowError(value)
    if (
        isinstance(value, str) and "\0" in value.encode().decode()
    ):  # UnicodeEncodeError: a surrogate
        raise ValueError(value)
    return value
