"""How much room tables and indexes take, before a change and after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, text

_SIZES = text(
    "SELECT format('%I.%I', n.nspname, c.relname), c.relkind = 'i', CASE c.relkind "
    "WHEN 'i' THEN pg_relation_size(c.oid) ELSE pg_table_size(c.oid) END "
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.relkind IN ('r', 'm', 'i') AND n.nspname !~ '^(pg_|information_schema$|pgsteady$)'"
)
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


class Room(NamedTuple):
    """The room that a relation takes."""

    is_index: bool
    bytes: int


Rooms = dict[str, Room]


@dataclass(frozen=True)
class Size:
    """The room that a relation took before and takes after; None where it did not exist."""

    name: str
    is_index: bool
    before: int | None
    after: int | None


def rooms(connection: Connection) -> Rooms:
    """Return the room of each table (with what is stored beside it) and index.

    Names are quoted where SQL needs it.
    """
    return {name: Room(is_index, taken) for name, is_index, taken in connection.execute(_SIZES)}


def sizes(before: Rooms, after: Rooms) -> list[Size]:
    """Return both, the ones that changed most first."""
    found = [
        Size(
            name,
            (after.get(name) or before[name]).is_index,
            before[name].bytes if name in before else None,
            after[name].bytes if name in after else None,
        )
        for name in before.keys() | after.keys()
    ]
    return sorted(found, key=lambda s: (-abs((s.after or 0) - (s.before or 0)), s.name))


def readable(size: float | None) -> str:
    """Write a size as PostgreSQL's ``pg_size_pretty`` does, - for none."""
    if size is None:
        return "-"
    unit = 0
    while abs(size) >= 10 * 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.0f} {_UNITS[unit]}"
