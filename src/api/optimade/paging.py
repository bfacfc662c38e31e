"""Sorting, and pages by keyset: a cursor holds where the page before ended.

Unknown values come last in either direction, and the identifier settles what is equal, so the
order is total and a page costs the same however far in it is.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    DateTime,
    UnaryExpression,
    Uuid,
    and_,
    false,
    literal,
    or_,
)

from api.errors import QueryNotUnderstood
from api.optimade.comparisons import Condition, Kind, Sql
from api.optimade.properties import SQL_TYPES, Entries, Property

_TYPES: dict[Kind, Any] = {
    **SQL_TYPES,
    Kind.IDENTIFIER: Uuid,
    Kind.TIMESTAMP: DateTime(timezone=True),
}


class Key(NamedTuple):
    """One property that entries are sorted by."""

    by: Property
    descending: bool

    @property
    def name(self) -> str:
        """The key as a query writes it."""
        return f"-{self.by.name}" if self.descending else self.by.name

    @property
    def sql(self) -> Sql:
        """The property in SQL; strings are ordered by code points, whatever the locale."""
        return self.by.sql.collate("C") if self.by.kind is Kind.STRING else self.by.sql

    @property
    def order(self) -> UnaryExpression[Any]:
        """The key as SQL orders by it."""
        return (self.sql.desc() if self.descending else self.sql.asc()).nulls_last()


class Order(NamedTuple):
    """The keys of a sort; the last one is the identifier."""

    keys: tuple[Key, ...]

    @property
    def name(self) -> str:
        """The sort as a query writes it, without the identifier that is added."""
        return ",".join(key.name for key in self.keys[:-1])

    @property
    def sql(self) -> list[UnaryExpression[Any]]:
        """What SQL orders by."""
        return [key.order for key in self.keys]

    @property
    def columns(self) -> list[ColumnElement[Any]]:
        """What a cursor is made of."""
        return [key.by.labelled(f"key_{i}") for i, key in enumerate(self.keys)]

    def cursor(self, values: Sequence[Any]) -> str:
        """Return the text from which `after` knows where the entry of these values stands."""
        document = json.dumps([self.name, [_written(value) for value in values]])
        return base64.urlsafe_b64encode(document.encode()).decode().rstrip("=")

    def after(self, cursor: str) -> Condition:
        """Return the condition that an entry comes after the cursor's, or QueryNotUnderstood."""
        try:
            padded = cursor + "=" * (-len(cursor) % 4)
            name, written = json.loads(base64.b64decode(padded, b"-_", validate=True))
            values = [_read(key.by.kind, one) for key, one in zip(self.keys, written, strict=True)]
        except (ValueError, TypeError, AttributeError):
            name, values = None, []
        if name != self.name or (values and values[-1] is None):
            raise QueryNotUnderstood("page_cursor is none that links.next gave for this sort.")
        found: Condition = false()
        for key, value in reversed(list(zip(self.keys, values, strict=True))):
            found = _beyond(key, value, found)
        return found


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


def _beyond(key: Key, value: Any, later: Condition) -> Condition:
    """Return: beyond the value by this key, or equal by it and ``later`` by the next."""
    sql = key.sql
    if value is None:
        return and_(sql.is_(None), later)
    bound = literal(value, _TYPES[key.by.kind])
    ahead = sql < bound if key.descending else sql > bound
    return or_(ahead, sql.is_(None), and_(sql == bound, later))


def _written(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def _read(kind: Kind, value: Any) -> Any:
    """Return a cursor's value as the database knows it; ValueError or TypeError for any other."""
    if value is None:
        return None
    if kind is Kind.IDENTIFIER:
        return UUID(value)
    if kind is Kind.TIMESTAMP:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError(value)
        return moment
    expected = {Kind.INTEGER: int, Kind.FLOAT: float, Kind.BOOLEAN: bool, Kind.STRING: str}[kind]
    if type(value) is not expected:
        raise TypeError(value)
    return value
