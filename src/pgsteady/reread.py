"""Two texts are the same if PostgreSQL reads them as the same.

What PostgreSQL writes of an expression is not always what it writes again once it has read
that: a restored dump has other brackets around the terms of an AND, other casts within an
IN. So where two definitions differ, both are read once more, in scratch, and compared again.
"""

from __future__ import annotations

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from pgsteady import catalog
from pgsteady.catalog import Catalog, Key, quoted, renamed
from pgsteady.compare import Difference
from pgsteady.mend import create
from pgsteady.mend.columns import described
from pgsteady.mend.names import columns_of

SCRATCH = "pgsteady_scratch"
LOCK_TIMEOUT = "2s"

_EXPRESSIONS = {
    ("column", "default"),
    ("column", "generated"),
    ("constraint", "definition"),
    ("index", "definition"),
    ("materialized view", "definition"),
    ("policy", "definition"),
    ("rule", "definition"),
    ("trigger", "definition"),
    ("view", "definition"),
}
_OF_THE_WHOLE = {"default", "generated", "identity"}
"""Facts of columns that only matter where they are the matter."""


def read_again(
    connection: Connection, found: list[Difference], live: Catalog, expected: Catalog
) -> list[Difference]:
    """Return the differences that remain once PostgreSQL has read both texts again.

    ``connection`` must be in a transaction; what is made in it is undone.
    """
    default = catalog.default_schema(connection)
    return [d for d in found if not _is_the_same(connection, d, live, expected, default)]


def _is_the_same(
    connection: Connection, difference: Difference, live: Catalog, expected: Catalog, default: str
) -> bool:
    key, fact = difference.key, difference.fact
    if (key.kind, fact) not in _EXPRESSIONS or not (difference.live and difference.expected):
        return False
    now, then = (_reread(connection, key, fact, side, default) for side in (live, expected))
    return now is not None and now in {then, difference.expected}


def _reread(connection: Connection, key: Key, fact: str, side: Catalog, default: str) -> str | None:
    """Return the fact as PostgreSQL writes it after reading it; None if it can not read it."""
    path = connection.scalar(text("SELECT current_setting('search_path')"))
    homes = [SCRATCH, *([quoted(key.schema)] if key.schema else []), *([path] if path else [])]
    savepoint = connection.begin_nested()
    try:
        cursor = connection.connection.cursor()  # as they are: no % and no : is a parameter
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        cursor.execute(f"CREATE SCHEMA {SCRATCH}")
        cursor.execute("SELECT set_config('search_path', %s, true)", [", ".join(homes)])
        for statement in _statements(key, fact, side):
            cursor.execute(renamed(statement, {quoted(key.schema): ""} if key.schema else {}))
        found = catalog.read(connection, {SCRATCH: key.schema}, unqualified=[default])
    except (DBAPIError, connection.dialect.loaded_dbapi.Error):
        return None
    finally:
        savepoint.rollback()
    return found.get(key, {}).get(fact)


def _statements(key: Key, fact: str, side: Catalog) -> list[str]:
    """Return what makes the object, and as much of its table as it takes."""
    if not key.table:
        return create(key, {key: side[key]})
    table = Key("table", key.schema, "", key.table)
    columns = []
    for column in columns_of(table, side):
        matters = {fact} if column == key else set()
        facts = {f: s for f, s in side[column].items() if f not in _OF_THE_WHOLE - matters}
        columns.append(described(column, facts))
    made = [f"CREATE TABLE {quoted(key.table)} ({', '.join(columns)})"]
    return made if key.kind == "column" else [*made, *create(key, {key: side[key]})]
