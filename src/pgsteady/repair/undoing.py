"""The way back from a half-done revision to the schema before it, if no row is lost on it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, text

from pgsteady.catalog import Catalog, Key
from pgsteady.compare import Difference, differences
from pgsteady.lint.rules.data import inner
from pgsteady.lint.schema import Schema
from pgsteady.lint.sql import Statement, relation, walk
from pgsteady.mend import mend
from pgsteady.mend.names import qualified
from pgsteady.repair.stages import Attempt

_DROPPED_LAST = ("column", "table", "sequence")
_DROPS = re.compile(r"\bDROP ((?:MATERIALIZED |FOREIGN |EVENT )?[A-Z]+) ")
_WRITES = {"insert_stmt", "update_stmt", "delete_stmt", "merge_stmt", "truncate_stmt"}


class Undone(NamedTuple):
    """A step of the way back: statements of one transaction, or one that allows none."""

    statements: tuple[str, ...]
    in_transaction: bool


def way_back(attempt: Attempt, reached: int) -> list[Undone]:
    """Return what leads from the schema after ``reached`` parts to the one before the first."""
    steps: list[Undone] = []
    for number in range(reached, 0, -1):
        now, then = attempt.catalogs[number], attempt.catalogs[number - 1]
        found = sorted(differences(now, then), key=_order)
        together: list[str] = []
        for difference in found:
            statements = [_if_there(sql) for sql in mend(difference, now, then)]
            if difference.key.kind == "index" and difference.change in {"extra", "missing"}:
                steps += [Undone((_concurrently(sql),), False) for sql in statements]
            else:
                together += statements
        if together:
            steps.append(Undone(tuple(together), True))
    return steps


def obstacles(attempt: Attempt, reached: Sequence[int], connection: Connection) -> list[str]:
    """Return why the way back would lose something; empty if it does not."""
    first, now = attempt.catalogs[0], attempt.catalogs[reached[0]]
    ran = [one for part in attempt.parts[: reached[-1]] for one in part.statements]
    written = _written([*ran, *(s for part in attempt.parts for s in part.statements)])
    found = [_irreversible(difference) for difference in differences(now, first)]
    found += [f"it changed rows of {table}" for table in sorted(_changed_rows(ran, first))]
    for key in now.keys() - first.keys():
        if key.kind == "table" and key.name not in written and _has(connection, key, ""):
            found.append(f"table {qualified(key)} has rows that it did not put in")
        is_of_old = key.kind == "column" and Key("table", key.schema, "", key.table) in first
        if is_of_old and not {key.table, f"{key.table}.{key.name}"} & written:
            default = now[key].get("default") or now[key].get("generated")
            if "generated" not in now[key] and _has(connection, key, default or "NULL"):
                found.append(f"column {key.table}.{key.name} has values that it did not put in")
    return [one for one in found if one]


def _order(difference: Difference) -> tuple[int, int, bool]:
    """What depends on others goes first; what is made anew comes last."""
    kind = difference.key.kind
    rank = _DROPPED_LAST.index(kind) + 1 if kind in _DROPPED_LAST else 0
    if kind in {"function", "procedure", "enum", "domain", "composite type", "schema"}:
        rank = len(_DROPPED_LAST) + 1
    change = {"changed": 0, "renamed": 0, "extra": 1, "missing": 2}[difference.change]
    foreign = difference.live.startswith("FOREIGN KEY")
    return change, rank if change == 1 else -rank, not foreign


def _irreversible(difference: Difference) -> str:
    key = difference.key
    if difference.change == "missing" and key.kind in {"table", "column", "materialized view"}:
        return f"it dropped {key}"
    if difference.change == "changed" and difference.fact in {"type", "labels"}:
        return f"it changed the {difference.fact} of {key}"
    return ""


def _if_there(sql: str) -> str:
    """Let a statement pass if an earlier run, or the one before, has done its work."""
    return _DROPS.sub(r"DROP \1 IF EXISTS ", sql, count=1)


def _concurrently(sql: str) -> str:
    return re.sub(r"^(DROP INDEX|CREATE (?:UNIQUE )?INDEX) ", r"\1 CONCURRENTLY ", sql)


def _changed_rows(ran: Sequence[Statement], before: Catalog) -> Iterator[str]:
    """Yield the tables in whose columns from before the statements may have changed rows."""
    tables = {key.name for key in before if key.kind == "table"}
    columns = {(key.table, key.name) for key in before if key.kind == "column"}
    for statement in _all(ran):
        if statement.kind == "truncate_stmt":
            names = {relation(node["range_var"]) for node in statement.tree["relations"]}
            yield from names & tables
        for kind, tree in [(statement.kind, statement.tree), *walk(statement.tree)]:
            table = relation(tree.get("relation")).rpartition(".")[2] if kind in _WRITES else ""
            if table not in tables:
                continue
            targets = {node["res_target"]["name"] for node in tree.get("target_list", [])}
            if kind != "update_stmt" or {(table, target) for target in targets} & columns:
                yield table


def _written(statements: Sequence[Statement]) -> set[str]:
    """Return the tables and columns, ``table.column``, that the statements fill."""
    found: set[str] = set()
    for statement in _all(statements):
        if statement.kind == "create_table_as_stmt":
            found.add(relation(statement.tree["into"]["rel"]).rpartition(".")[2])
        for kind, tree in [(statement.kind, statement.tree), *walk(statement.tree)]:
            if kind in _WRITES and "relation" in tree:
                table = relation(tree["relation"]).rpartition(".")[2]
                if kind != "update_stmt":
                    found.add(table)
                for node in tree.get("target_list", []):
                    found.add(f"{table}.{node['res_target']['name']}")
    return found


def _all(statements: Sequence[Statement]) -> Iterator[Statement]:
    for statement in statements:
        yield statement
        yield from inner(statement, Schema())


def _has(connection: Connection, key: Key, default: str) -> bool:
    """Tell whether a table has rows, or a column values other than its default."""
    if key.kind == "table":
        query = f"SELECT EXISTS (SELECT FROM {qualified(key)})"  # noqa: S608 - quoted
    else:
        from pgsteady.catalog import quoted

        query = (
            f"SELECT EXISTS (SELECT FROM {qualified(key)} "  # noqa: S608 - quoted
            f"WHERE {quoted(key.name)} IS DISTINCT FROM {default} "
            f"AND {quoted(key.name)} IS NOT NULL)"
        )
    return bool(connection.scalar(text(query.replace(":", r"\:"))))
