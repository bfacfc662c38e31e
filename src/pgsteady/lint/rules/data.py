"""Rows: changed, deleted, locked, read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pgsteady.lint.hit import Hit
from pgsteady.lint.rule import AUTOCOMMIT, ERROR, WARNING, Rule
from pgsteady.lint.schema import Schema
from pgsteady.lint.sql import (
    Statement,
    Tree,
    columns_named,
    dotted,
    options,
    parse,
    relation,
    unwrap,
    walk,
)

RULES = (
    Rule(
        "update-locks-rows",
        ERROR,
        "nobody else can change these rows until the transaction ends, and the table grows by as "
        "many dead rows",
        "change some thousand rows at a time by ranges of the key, each batch committed",
    ),
    Rule(
        "delete-loses-rows",
        ERROR,
        "rows are gone for good, and no downgrade brings them back",
        "keep a copy, and delete some thousand rows at a time by ranges of the key",
    ),
    Rule(
        "truncate-loses-rows",
        ERROR,
        "all rows are gone for good (with CASCADE those of other tables too), and nobody can read "
        "until the transaction ends",
        "keep a copy, or leave emptying tables to an operator",
    ),
    Rule(
        "batches-in-one-transaction",
        ERROR,
        "the locks of all batches are kept until the one transaction ends",
        f"COMMIT after each batch, {AUTOCOMMIT}",
    ),
    Rule(
        "select-locks-rows",
        ERROR,
        "nobody else can change these rows until the transaction ends",
        "leave out FOR UPDATE, or limit it to a range of the key",
    ),
    Rule(
        "lock-table",
        WARNING,
        "everybody who needs the table waits until the transaction ends",
        "let each statement take the lock that it needs",
    ),
    Rule(
        "unseen-code",
        WARNING,
        "code that is put together or called at run time cannot be looked at here",
        "write the statements out",
    ),
)


CHANGES = {"update_stmt": "UPDATE", "delete_stmt": "DELETE", "merge_stmt": "MERGE"}


def check_rows(statement: Statement, schema: Schema) -> Iterator[Hit]:
    """UPDATE, DELETE, MERGE and SELECT … FOR UPDATE, also inside WITH."""
    yield from _rows(statement.kind, statement.tree, schema)
    for clause in statement.tree.get("with_clause", {}).get("ctes", []):
        yield from _rows(*unwrap(clause["common_table_expr"].get("ctequery", {})), schema)


def _rows(kind: str, tree: Tree, schema: Schema) -> Iterator[Hit]:
    if kind in CHANGES:
        table = relation(tree.get("relation"))
        if schema.is_new(table):
            return
        if kind == "delete_stmt" or _deletes(tree):
            yield Hit("delete-loses-rows", table)
        elif not is_bounded(tree, table, schema):
            yield Hit("update-locks-rows", table, CHANGES[kind])
    elif kind == "select_stmt" and "locking_clause" in tree:
        tables = [relation(n.get("range_var")) for n in tree.get("from_clause", [])]
        for table in filter(None, tables):
            if not schema.is_new(table) and not is_bounded(tree, table, schema):
                yield Hit("select-locks-rows", table)


def _deletes(tree: Tree) -> bool:
    clauses = tree.get("merge_when_clauses", [])
    return any(c["merge_when_clause"].get("command_type") == "CMD_DELETE" for c in clauses)


def is_bounded(tree: Tree, table: str, schema: Schema) -> bool:
    """Tell whether WHERE (or LIMIT) picks out rows by a key, so that they are few and found.

    One of its conditions has to compare a column that leads a unique or other index of
    ``table`` with constants, with a range that has both ends, or with a limited query.
    """
    if "limit_count" in tree:
        return True
    found = _conditions(tree.get("where_clause"))
    ends: dict[str, set[str]] = {}
    for condition in found:
        column, how = _comparison(condition)
        if column and schema.is_key(table, column):
            ends.setdefault(column, set()).add(how)
    return any("=" in hows or {"<", ">"} <= hows for hows in ends.values())


def _conditions(where: Tree | None) -> list[Tree]:
    """Return what must all be true."""
    if not where:
        return []
    kind, body = unwrap(where)
    if kind == "bool_expr" and body["boolop"] == "AND_EXPR":
        return [one for part in body["args"] for one in _conditions(part)]
    return [where]


def _comparison(condition: Tree) -> tuple[str, str]:
    """Return a compared column and how: ``=`` for few values, ``<`` or ``>`` for one end."""
    kind, body = unwrap(condition)
    if kind == "sub_link" and body.get("sub_link_type") == "ANY_SUBLINK":
        limited = "limit_count" in body["subselect"]["select_stmt"]
        return _column(body.get("testexpr")), "=" if limited else ""
    if kind != "a_expr" or columns_named(body.get("rexpr")):
        return "", ""
    operator = body["name"][0]["string"]["sval"]
    if body["kind"] in {"AEXPR_IN", "AEXPR_BETWEEN", "AEXPR_OP_ANY"}:
        return _column(body.get("lexpr")), "" if operator == "<>" else "="
    return _column(body.get("lexpr")), operator[:1] if operator in {
        "=",
        "<",
        ">",
        "<=",
        ">=",
    } else ""


def _column(tree: Any) -> str:
    names = columns_named(tree) if tree and unwrap(tree)[0] == "column_ref" else set()
    return next(iter(names), "")


def check_truncate(statement: Statement, schema: Schema) -> Iterator[Hit]:
    """TRUNCATE."""
    if statement.kind == "truncate_stmt":
        for node in statement.tree.get("relations", []):
            if not schema.is_new(relation(node["range_var"])):
                yield Hit("truncate-loses-rows", relation(node["range_var"]))


def check_lock(statement: Statement, schema: Schema) -> Iterator[Hit]:
    """LOCK TABLE in a mode that keeps others from writing."""
    share = 5  # PostgreSQL's number of SHARE, the weakest such mode (storage/lockdefs.h)
    if statement.kind == "lock_stmt" and statement.tree.get("mode", 0) >= share:
        for node in statement.tree["relations"]:
            if not schema.is_new(relation(node["range_var"])):
                yield Hit("lock-table", relation(node["range_var"]))


_LOOP = re.compile(r"\bLOOP\b", re.IGNORECASE)
_COMMIT = re.compile(r"\bCOMMIT\b", re.IGNORECASE)
_DYNAMIC = re.compile(r"\bEXECUTE\b", re.IGNORECASE)
_STATEMENT = re.compile(
    r"\b(?:UPDATE|DELETE\s+FROM|MERGE\s+INTO|TRUNCATE|ALTER|DROP|CREATE|REFRESH|REINDEX|CLUSTER|LOCK)\b"
    r"[^;]*",
    re.IGNORECASE,
)


def inner(statement: Statement, schema: Schema) -> list[Statement]:
    """Return the statements inside a DO block or a function that the statement calls.

    They are found by their first word, and only as they are written out.
    """
    called = [
        dotted(body["funcname"]) for kind, body in walk(statement.tree) if kind == "func_call"
    ]
    bodies = [schema.functions[name].body for name in called if name in schema.functions]
    bodies.append(_body(statement))
    found = [
        one
        for body in bodies
        for match in _STATEMENT.finditer(body)
        for one in parse(match[0], statement.line, statement.transaction)
    ]
    return [one for one in found if not one.problem]


def check_blocks(statement: Statement, schema: Schema) -> Iterator[Hit]:
    """DO and CALL: loops that keep their locks, and what cannot be seen."""
    if statement.kind == "call_stmt":
        yield Hit("unseen-code", "CALL")
    body = _body(statement)
    changes = [one for one in inner(statement, schema) if one.kind in CHANGES]
    if _LOOP.search(body) and changes and not _COMMIT.search(body):
        yield Hit("batches-in-one-transaction", "DO", changes[0].text)
    if _DYNAMIC.search(body):
        yield Hit("unseen-code", "DO")


def repeats(statement: Statement) -> bool:
    """Tell whether a DO block commits what it does in a loop, a part at a time."""
    body = _body(statement)
    return bool(_LOOP.search(body) and _COMMIT.search(body))


def _body(statement: Statement) -> str:
    if statement.kind != "do_stmt":
        return ""
    return str(options(statement.tree.get("args", [])).get("as", ""))


def tables_changed(statement: Statement) -> set[str]:
    """Return the tables whose rows the statement changes."""
    found = [(statement.kind, statement.tree), *walk(statement.tree.get("with_clause", {}))]
    return {
        relation(body.get("relation")) for kind, body in found if kind in {*CHANGES, "insert_stmt"}
    }
