"""What tables have to hold after the pending revisions, by what these declare.

Each declared revision is a SELECT over the one before it, so that several that change the
same table add up. Other tables that an expression reads are those of before all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from pgsteady import catalog
from pgsteady.declarations import Change
from pgsteady.errors import WrongDeclaration
from pgsteady.verify.digest import Source, digest, name, said_by
from pgsteady.verify.evidence import Expected
from pgsteady.verify.relations import Relation


@dataclass(frozen=True)
class _State:
    """A table as it is expected to be after some of the revisions."""

    relation: Relation
    sql: str
    columns: tuple[str, ...]
    declared: tuple[str, ...] = ()
    any_columns: tuple[str, ...] = ()
    any_rows: bool = False

    @classmethod
    def before(cls, relation: Relation) -> _State:
        return cls(relation, relation.sql, relation.columns)


@dataclass
class _Rules:
    """What one revision declares of one table."""

    columns: dict[str, str | None] = field(default_factory=dict)
    rows: str | None = ""


def expected(
    connection: Connection,
    relations: Sequence[Relation],
    changes: Iterable[Change],
    one_in: Mapping[str, int],
) -> dict[str, dict[str, Expected]]:
    """Return for each revision what the tables of its and earlier declarations have to hold.

    Raises:
        WrongDeclaration: an expression cannot be evaluated.
    """
    default = catalog.default_schema(connection)
    states = {str(relation): _State.before(relation) for relation in relations}
    found: dict[str, dict[str, Expected]] = {}
    so_far: dict[str, Expected] = {}
    for change in changes:
        for table, rules in _by_table(change, states, default):
            states[table] = _after(states[table], rules)
            try:
                so_far[table] = _evaluated(connection, states[table], one_in.get(table, 1))
            except DBAPIError as error:
                raise WrongDeclaration(
                    f"revision {change.revision}: what `changes` says of {table} cannot be "
                    f"evaluated: {said_by(error)}"
                ) from error
        found[change.revision] = dict(so_far)
    return found


def _by_table(
    change: Change, states: Mapping[str, _State], default: str
) -> Iterator[tuple[str, _Rules]]:
    """Sort a revision's rules by table; what is about a table yet to come needs no proof."""
    by_table: dict[str, _Rules] = {}
    for key, sql in change.rules.items():
        table, _, column = key.rpartition(".")
        if (owner := _known(table, states, default)) is not None:
            by_table.setdefault(owner, _Rules()).columns[column] = sql
        elif (itself := _known(key, states, default)) is not None:
            by_table.setdefault(itself, _Rules()).rows = sql
    yield from by_table.items()


def _known(table: str, states: Mapping[str, _State], default: str) -> str | None:
    return next((known for known in (f"{default}.{table}", table) if known in states), None)


def _after(state: _State, rules: _Rules) -> _State:
    """Put one more revision on top: its expressions read what the ones before it left."""
    values = dict.fromkeys(state.columns, "") | {c: e for c, e in rules.columns.items() if e}
    selected = ", ".join(
        f"({sql}) AS {name(column)}" if sql else name(column) for column, sql in values.items()
    )
    alias = name(state.relation.table)
    inner = state.sql if state.sql == state.relation.sql else f"({state.sql})"
    condition = f" WHERE ({rules.rows}) IS TRUE" if rules.rows else ""
    anything = {c for c, sql in rules.columns.items() if sql is None}
    return replace(
        state,
        sql=f"SELECT {selected} FROM {inner} AS {alias}{condition}",  # noqa: S608 - quoted
        columns=tuple(values),
        declared=tuple(sorted({*state.declared, *rules.columns})),
        any_columns=tuple(sorted(({*state.any_columns} - {*rules.columns}) | anything)),
        any_rows=state.any_rows or rules.rows is None,
    )


def _evaluated(connection: Connection, state: _State, one_in: int) -> Expected:
    if state.any_rows:
        return Expected(None, state.declared, state.any_columns, any_rows=True)
    known = tuple(column for column in state.columns if column not in state.any_columns)
    key = state.relation.key
    source = Source(f"({state.sql}) AS expected", known, key or tuple(sorted(known)), bool(key))
    return Expected(digest(connection, source, one_in), state.declared, state.any_columns)
