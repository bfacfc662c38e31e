"""What tables have to hold after the pending revisions, by what these declare.

Each declared revision is a SELECT over the one before it, so that several that change the
same table add up. Other tables that an expression reads are those of before all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from pgsteady import catalog
from pgsteady.declarations import Change
from pgsteady.errors import WrongDeclaration
from pgsteady.verify.digest import Source, digest, name, said_by
from pgsteady.verify.evidence import Expected
from pgsteady.verify.relations import Relation


def expected(
    connection: Connection,
    relations: Sequence[Relation],
    changes: Iterable[Change],
    one_in: Mapping[str, int],
) -> dict[str, dict[str, Expected]]:
    """Return for each revision what the tables of its and earlier declarations have to hold.

    ``one_in`` says in how many rows of each table one is digested.

    Raises:
        WrongDeclaration: an expression cannot be evaluated.
    """
    future = _Future(relations, catalog.default_schema(connection))
    found: dict[str, dict[str, Expected]] = {}
    so_far: dict[str, Expected] = {}
    for change in changes:
        for table in future.apply(change):
            state = future.tables[table]
            so_far.pop(str(state.relation), None)
            try:
                so_far[table] = state.evaluated(connection, table, one_in)
            except DBAPIError as error:
                raise WrongDeclaration(
                    f"revision {change.revision}: what `changes` says of {table} cannot be "
                    f"evaluated: {said_by(error)}"
                ) from error
        found[change.revision] = dict(so_far)
    return found


@dataclass
class _Rules:
    """What one revision declares of one table: its columns, and the rows that stay."""

    columns: dict[str, str | None] = field(default_factory=dict)
    rows: str | None = ""


@dataclass(frozen=True)
class _State:
    """A table as it is expected to be after some of the revisions."""

    relation: Relation
    sql: str
    columns: tuple[str, ...]
    declared: frozenset[str] = frozenset()
    any_columns: frozenset[str] = frozenset()
    any_rows: bool = False

    def after(self, rules: _Rules) -> _State:
        """Put one more revision on top: its expressions read what those before it left.

        An expression may end in a comment, which the end of the line ends.
        """
        values = dict.fromkeys(self.columns, "") | {c: e for c, e in rules.columns.items() if e}
        selected = ", ".join(
            f"({sql}\n) AS {name(column)}" if sql else name(column)
            for column, sql in values.items()
        )
        inner = self.sql if self.sql == self.relation.sql else f"({self.sql})"
        condition = f" WHERE ({rules.rows}\n) IS TRUE" if rules.rows else ""
        alias = name(self.relation.table)
        anything = {column for column, sql in rules.columns.items() if sql is None}
        return replace(
            self,
            sql=f"SELECT {selected} FROM {inner} AS {alias}{condition}",  # noqa: S608 - declared
            columns=tuple(values),
            declared=self.declared | rules.columns.keys(),
            any_columns=(self.any_columns - rules.columns.keys()) | anything,
            any_rows=self.any_rows or rules.rows is None,
        )

    def evaluated(self, connection: Connection, table: str, one_in: Mapping[str, int]) -> Expected:
        """Digest what the table, now called so, is expected to hold."""
        content, origin = None, str(self.relation)
        if not self.any_rows:
            known = tuple(column for column in self.columns if column not in self.any_columns)
            key = self.relation.key
            source = Source(
                f"({self.sql}) AS expected", known, key or tuple(sorted(known)), bool(key)
            )
            content = digest(connection, source, one_in.get(origin, 1))
        return Expected(
            content,
            declared=tuple(sorted(self.declared)),
            any_columns=tuple(sorted(self.any_columns)),
            any_rows=self.any_rows,
            formerly=origin if origin != table else "",
        )


class _Future:
    """All tables by name, as they are expected to be, revision after revision."""

    def __init__(self, relations: Iterable[Relation], default_schema: str) -> None:
        self._default = default_schema
        self.tables = {str(each): _State(each, each.sql, each.columns) for each in relations}

    def apply(self, change: Change) -> list[str]:
        """Go on by one revision, and return the tables that it changes.

        What it says of tables yet to come needs no proof.
        """
        rules: dict[str, _Rules] = {}
        rest = dict(change.rules)
        for key, sql in change.rules.items():
            if sql and (renamed := self._rename(sql.strip(), key)):
                rules[renamed] = _Rules()
                del rest[key]
        for key, sql in rest.items():
            owner, _, column = key.rpartition(".")
            if table := self._known(owner):
                rules.setdefault(table, _Rules()).columns[column] = sql
            elif table := self._known(key):
                rules.setdefault(table, _Rules()).rows = sql
        for table, declared in rules.items():
            self.tables[table] = self.tables[table].after(declared)
        return list(rules)

    def _rename(self, old: str, new: str) -> str | None:
        """Rename a table if that is what is declared, and return its new name."""
        known = self._known(old)
        if known is None or self._known(new):
            return None
        schema = self.tables[known].relation.schema
        renamed = new if "." in new else f"{schema}.{new}"
        self.tables[renamed] = self.tables.pop(known)
        return renamed

    def _known(self, table: str) -> str | None:
        names = (f"{self._default}.{table}", table)
        return next((known for known in names if known in self.tables), None)
