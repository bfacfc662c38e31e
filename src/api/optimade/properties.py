"""What entries have: each property's name, type, value in SQL, and description."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from typing import cast as cast_type
from uuid import UUID

from optimade.models import EntryResourceAttributes
from sqlalchemy import Boolean, ColumnElement, Double, Integer, Label, Text, cast, label, null
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import TypeEngine

from api.errors import QueryNotSupported, QueryNotUnderstood
from api.optimade.comparisons import Condition, Kind, Sql
from api.services.published import Source

SQL_TYPES: dict[Kind, type[TypeEngine[Any]]] = {
    Kind.STRING: Text,
    Kind.INTEGER: Integer,
    Kind.FLOAT: Double,
    Kind.BOOLEAN: Boolean,
}


@dataclass(frozen=True, slots=True)
class Property:
    """One property of an entry.

    ``item`` is the kind of a list's items, None where they are lists or dictionaries, which are
    not compared; ``length`` is the number of items in SQL. What an index serves where it does not
    serve ``sql``: ``indexed`` is the same wherever ``sql`` is known, ``unknown`` says where that is
    not, ``only`` that a list has no items but these. ``show`` turns the value that the database
    gives into the one of the answer.
    """

    name: str
    kind: Kind
    sql: Sql
    description: str = ""
    unit: str | None = None
    item: Kind | None = None
    length: Sql | None = None
    indexed: Sql | None = None
    unknown: Condition | None = None
    only: Callable[[list[str]], Condition] | None = None
    show: Callable[[Any], Any] = lambda value: value

    def labelled(self, name: str) -> Label[Any]:
        """Return the value under a name of its own among the columns of a SELECT."""
        return label(name, cast_type(ColumnElement[Any], self.sql))

    @property
    def is_sortable(self) -> bool:
        """One value, which has an order."""
        return self.kind not in {Kind.LIST, Kind.DICTIONARY, Kind.UNKNOWN}


@dataclass(frozen=True, slots=True)
class Entries:
    """One type of entries; ``hidden`` properties may be asked for in filters alone."""

    type: str
    description: str
    source: Source
    prefix: str
    properties: Mapping[str, Property]
    hidden: Mapping[str, Property] = field(default_factory=dict)

    def find(self, name: str) -> Property | None:
        """Return the property, or None for one of another database.

        Raises QueryNotUnderstood for a name that the standard, or this database, does not
        know, QueryNotSupported for a part of a property.
        """
        if found := self.properties.get(name) or self.hidden.get(name):
            return found
        whole = name.partition(".")[0]
        if whole in self.properties and whole != name:
            raise QueryNotSupported(f"Filters on a part of {whole}, such as {name}, are optional.")
        if whole.startswith("_") and not whole.startswith(f"_{self.prefix}_"):
            return None
        raise QueryNotUnderstood(f"{self.type} have no property {name}; see /info/{self.type}.")


def standard(
    model: type[EntryResourceAttributes],
    name: str,
    kind: Kind,
    sql: Sql | None = None,
    **more: Any,
) -> Property:
    """Return a property of the standard, described in its words; without ``sql`` never known."""
    described = model.model_fields[name]
    extra = described.json_schema_extra
    unit = extra.get("x-optimade-unit") if isinstance(extra, dict) else None
    return Property(
        name,
        kind,
        _null(kind) if sql is None else sql,
        described.description or "",
        str(unit) if unit else None,
        **more,
    )


def _null(kind: Kind) -> Sql:
    """Return what is never known, of the right type."""
    return cast(null(), ARRAY(Text) if kind is Kind.LIST else SQL_TYPES[kind])


def by_name(*properties: Property) -> dict[str, Property]:
    """Return the properties by their names."""
    return {one.name: one for one in properties}


def utc_second(moment: datetime) -> str:
    """Return a moment by RFC 3339, without the fraction of its second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def in_json(value: Any) -> Any:
    """Return a database's value as JSON knows it."""
    if isinstance(value, UUID):
        return str(value)
    return utc_second(value) if isinstance(value, datetime) else value
