"""What is asked of the database before a statement runs, by the names that things have then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import psycopg2
from psycopg2 import extensions, sql

from pgsteady.catalog import quoted
from pgsteady.lint.sql import Statement, Tree

Existing = Mapping[int, int]
"""The tables that count, by oid, and how many columns each had."""


_TABLES = (
    "SELECT c.oid, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n "
    "ON n.oid = c.relnamespace WHERE c.oid = ANY(%s::oid[]) ORDER BY 2, 3"
)
_COLUMN = (
    "SELECT attnum, format_type(atttypid, atttypmod), atttypid FROM pg_attribute "
    "WHERE attrelid = %s AND attname = %s AND NOT attisdropped"
)
_RELATIONS = {"OBJECT_TABLE", "OBJECT_MATVIEW"}


class Table(NamedTuple):
    """A table that was there before."""

    oid: int
    schema: str
    name: str

    @property
    def quoted(self) -> sql.Identifier:
        """The name with its schema, for SQL."""
        return sql.Identifier(self.schema, self.name)

    def __str__(self) -> str:
        return self.name if self.schema == "public" else f"{self.schema}.{self.name}"


class Column(NamedTuple):
    """A column that was there before."""

    name: str
    number: int
    type: str
    type_oid: int

    @property
    def quoted(self) -> sql.Identifier:
        """The name, for SQL."""
        return sql.Identifier(self.name)


class Database:
    """What is asked of the database; a question that fails is answered with None."""

    def __init__(self, connection: extensions.connection, existing: Existing) -> None:
        self._connection = connection
        self._tables: dict[str, int | None] = {}
        self._columns: dict[tuple[int, str], str] = {}
        self.existing = existing

    def ask(self, query: str | sql.Composable, parameters: Any = None) -> list[Any] | None:
        """Return the rows, None if the query fails."""
        with self._connection.cursor() as cursor:
            if self._connection.autocommit:
                with suppress(psycopg2.Error):
                    cursor.execute(query, parameters)
                    return cursor.fetchall()
                return None
            return _within_savepoint(cursor, query, parameters)

    def value(self, query: str | sql.Composable, parameters: Any = None) -> Any:
        """Return the one value."""
        rows = self.ask(query, parameters)
        return rows[0][0] if rows else None

    def table(self, range_var: Tree) -> Table | None:
        """Return the table, if it is one that counts."""
        return next(iter(self.tables([self.oid("to_regclass(%s)", _name(range_var))])), None)

    def oid(self, finds: str, name: str) -> int | None:
        """Return an object's oid, by the name that statements before have left it with."""
        if _bare(name) in self._tables:
            return self._tables[_bare(name)]
        found: int | None = self.value(f"SELECT ({finds})::oid", [name])
        return found

    def column(self, table: Table, name: str) -> Column | None:
        """Return a column, if it was there before, by the name that it has by then."""
        known = self._columns.get((table.oid, name), name)
        rows = self.ask(_COLUMN, [table.oid, known])
        return Column(known, *rows[0]) if rows and rows[0][0] <= self.existing[table.oid] else None

    def rename(self, statement: Statement) -> None:
        """Note the names that a statement gives, for the statements that follow it."""
        tree = statement.tree
        if "relation" not in tree or not (table := self.table(tree["relation"])):
            return
        old = tree["relation"]
        if statement.kind == "alter_object_schema_stmt":
            self._call(table, old, {**old, "schemaname": tree["newschema"]})
        elif statement.kind == "rename_stmt" and tree["rename_type"] == "OBJECT_COLUMN":
            before: str = tree["subname"]
            self._columns[table.oid, tree["newname"]] = self._columns.get(
                (table.oid, before), before
            )
            self._columns[table.oid, before] = ""
        elif statement.kind == "rename_stmt" and tree["rename_type"] in _RELATIONS:
            self._call(table, old, {**old, "relname": tree["newname"]})

    def _call(self, table: Table, old: Tree, new: Tree) -> None:
        self._tables[_bare(_name(old))] = None
        self._tables[_bare(_name(new))] = table.oid

    def tables(self, oids: Sequence[int | None]) -> list[Table]:
        """Return of these tables those that count."""
        counting = [oid for oid in oids if oid in self.existing]
        return [Table(*row) for row in self.ask(_TABLES, [counting]) or ()] if counting else []


def _within_savepoint(
    cursor: extensions.cursor, query: str | sql.Composable, parameters: Any
) -> list[Any] | None:
    cursor.execute("SAVEPOINT pgsteady_guard")
    try:
        cursor.execute(query, parameters)
        return cursor.fetchall()
    except psycopg2.Error:
        cursor.execute("ROLLBACK TO SAVEPOINT pgsteady_guard")
        return None
    finally:
        cursor.execute("RELEASE SAVEPOINT pgsteady_guard")


def dotted(names: Iterable[str]) -> str:
    """Return a name of several parts as SQL writes it."""
    return ".".join(quoted(name) for name in names if name)


def _bare(name: str) -> str:
    """Return a name without the schema in which those without one are usually looked for."""
    return name.removeprefix("public.")


def _name(range_var: Tree) -> str:
    return dotted([range_var.get("schemaname", ""), range_var["relname"]])
