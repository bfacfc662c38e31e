"""Statements of one revision together: what one does while another's lock is held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pgsteady.lint.hit import Hit
from pgsteady.lint.rule import ERROR, INFO, WARNING, Rule
from pgsteady.lint.rules.data import CHANGES, is_bounded, tables_changed
from pgsteady.lint.schema import Schema
from pgsteady.lint.sql import (
    Statement,
    Tree,
    commands,
    constraints,
    dotted,
    dropped,
    literals,
    relation,
    tables_read,
)

RULES = (
    Rule(
        "interrupted-index",
        INFO,
        "interrupted, it leaves an INVALID index; the next run fails on it or, with IF NOT EXISTS, "
        "keeps it",
        "DROP INDEX CONCURRENTLY IF EXISTS the same name just before",
    ),
    Rule(
        "missing-analyze",
        INFO,
        "until the next ANALYZE the planner knows nothing of the new expression or values",
        'op.execute("ANALYZE table") after it',
    ),
    Rule(
        "scan-under-lock",
        ERROR,
        "others wait for a table that this transaction has locked, as long as this statement reads",
        "read in a transaction of its own, before any lock is taken",
    ),
    Rule(
        "data-with-schema",
        WARNING,
        "the schema change's lock is kept as long as the data change takes",
        "one revision for the schema, another for the data",
    ),
    Rule(
        "several-alterations",
        INFO,
        "each ALTER TABLE of the same table may read all its rows again",
        "one op.execute() of an ALTER TABLE with all parts, where they read rows",
    ),
    Rule(
        "autocommit-mixed",
        WARNING,
        "the autocommit_block commits what it does, and all before it, at once: if anything fails, "
        "the database keeps half of the revision and the next run fails on that half",
        "put the autocommit_block into a revision of its own",
    ),
    Rule(
        "no-lock-timeout",
        INFO,
        "while it waits for a lock, everybody after waits for it, without end",
        "SET LOCAL lock_timeout first, or let env.py call pgsteady.env.run()",
    ),
    Rule(
        "enum-value-used-at-once",
        ERROR,
        "a value cannot be used in the transaction that adds it (a run from scratch hides this, as "
        "the type is new there)",
        "add it in a revision of its own, released before the one that uses it",
    ),
)


Placed = tuple[Statement, Hit]

WEAK = {
    "AT_ValidateConstraint",
    "AT_SetStatistics",
    "AT_SetOptions",
    "AT_ResetOptions",
    "AT_SetRelOptions",
    "AT_ResetRelOptions",
    "AT_ClusterOn",
    "AT_AttachPartition",
}
"""Parts of ALTER TABLE that let others read and write (PostgreSQL: SHARE UPDATE EXCLUSIVE)."""

SHARE = 5  # the weakest mode of LOCK TABLE that keeps others from writing (storage/lockdefs.h)


def check_together(statements: Sequence[Statement], schema: Schema) -> Iterator[Placed]:
    """Look at a revision's statements; ``schema`` is what it leaves behind."""
    yield from _scans_under_lock(statements, schema)
    yield from _mixed(statements, schema)
    yield from _autocommit(statements)
    yield from _interrupted(statements)
    yield from _several_alterations(statements, schema)
    yield from _not_analyzed(statements, schema)
    yield from _enums(statements)


def locks(statement: Statement, schema: Schema) -> set[str]:
    """Return the existing tables that others cannot write, or use, after the statement."""
    tree, found = statement.tree, set()
    if statement.kind == "alter_table_stmt":
        parts = list(commands(statement))
        found = _referenced([c.get("def", {}) for _, c, _ in parts])
        if any(subtype not in WEAK for subtype, _, _ in parts):
            found.add(relation(tree.get("relation")))
    elif statement.kind == "create_stmt":
        found = _referenced(tree.get("table_elts", []))
    elif statement.kind in {"create_trig_stmt", "create_policy_stmt"}:
        found = {relation(tree.get("relation") or tree.get("table"))}
    elif statement.kind in {"index_stmt", "rename_stmt"} and not tree.get("concurrent"):
        found = {relation(tree.get("relation"))}
    elif statement.kind == "truncate_stmt" or (
        statement.kind == "lock_stmt" and tree.get("mode", 0) >= SHARE
    ):
        found = {relation(node["range_var"]) for node in tree["relations"]}
    elif statement.kind == "drop_stmt" and not tree.get("concurrent"):
        found = _dropped(tree, schema)
    return {table for table in found if table and not schema.is_new(table)}


def _referenced(definitions: list[Tree]) -> set[str]:
    """Return the tables that foreign keys among the definitions refer to."""
    keys = [d["constraint"] for d in definitions if "constraint" in d]
    for definition in definitions:
        keys += constraints(definition.get("column_def", {})).values()
    return {relation(key.get("pktable")) for key in keys if key["contype"] == "CONSTR_FOREIGN"}


def _dropped(tree: Tree, schema: Schema) -> set[str]:
    if tree.get("remove_type") == "OBJECT_INDEX":
        known = [schema.indexes[name] for name in dropped(tree) if name in schema.indexes]
        return {index.table for index in known}
    return set(dropped(tree)) if tree.get("remove_type") == "OBJECT_TABLE" else set()


def reads_whole(statement: Statement, schema: Schema) -> set[str]:
    """Return the existing tables that the statement reads from end to end."""
    tree, found = statement.tree, set()
    if any(subtype == "AT_ValidateConstraint" for subtype, _, _ in commands(statement)):
        found = {relation(tree["relation"])}
    elif statement.kind in {"create_table_as_stmt", "insert_stmt"}:
        query = tree.get("query") or tree.get("select_stmt", {})
        found = _read_whole(query.get("select_stmt", {}), schema)
    elif statement.kind == "select_stmt":
        found = _read_whole(tree, schema)
    return {table for table in found if not schema.is_new(table)}


def _read_whole(query: Tree, schema: Schema) -> set[str]:
    tables = tables_read(query)
    return {table for table in tables if not is_bounded(query, table, schema)}


def _scans_under_lock(statements: Sequence[Statement], schema: Schema) -> Iterator[Placed]:
    held: dict[int, set[str]] = {}
    for statement in statements:
        if statement.transaction is None:
            continue
        locked = held.setdefault(statement.transaction, set())
        read = reads_whole(statement, schema)
        if locked and read:
            detail = f"while {', '.join(sorted(locked))} is locked"
            yield statement, Hit("scan-under-lock", ", ".join(sorted(read)), detail)
        locked |= locks(statement, schema)


def _mixed(statements: Sequence[Statement], schema: Schema) -> Iterator[Placed]:
    inside = [one for one in statements if one.transaction is not None]
    if not any(locks(one, schema) for one in inside):
        return
    for statement in inside:
        if changed := {t for t in tables_changed(statement) if t and not schema.is_new(t)}:
            yield statement, Hit("data-with-schema", ", ".join(sorted(changed)))
            return


def _autocommit(statements: Sequence[Statement]) -> Iterator[Placed]:
    alone = [one for one in statements if one.transaction is None]
    beside = [one for one in statements if one.transaction is not None]
    if alone and any(one.kind != "variable_set_stmt" for one in beside):
        yield alone[0], Hit("autocommit-mixed", "")


def _interrupted(statements: Sequence[Statement]) -> Iterator[Placed]:
    removed: set[str] = set()
    for statement in statements:
        tree = statement.tree
        if statement.kind == "drop_stmt" and tree.get("missing_ok"):
            removed.update(dropped(tree))
        elif statement.kind == "index_stmt" and tree.get("concurrent"):
            name = tree.get("idxname", "index")
            if name not in removed:
                yield statement, Hit("interrupted-index", name)


def _several_alterations(statements: Sequence[Statement], schema: Schema) -> Iterator[Placed]:
    altered: set[tuple[str, int | None]] = set()
    for statement in statements:
        table = relation(statement.tree.get("relation"))
        if next(commands(statement), None) is None or schema.is_new(table):
            continue
        if (table, statement.transaction) in altered:
            yield statement, Hit("several-alterations", table)
        altered.add((table, statement.transaction))


def _not_analyzed(statements: Sequence[Statement], schema: Schema) -> Iterator[Placed]:
    waiting: dict[str, Statement] = {}
    for statement in statements:
        tree = statement.tree
        if statement.kind == "vacuum_stmt":
            named = {relation(node["vacuum_relation"]["relation"]) for node in tree.get("rels", [])}
            waiting = {t: s for t, s in waiting.items() if named and t not in named}
        elif statement.kind == "index_stmt":
            if any("expr" in part["index_elem"] for part in tree.get("index_params", [])):
                waiting[relation(tree["relation"])] = statement
        elif statement.kind in CHANGES:
            table = relation(tree["relation"])
            if not is_bounded(tree, table, schema):
                waiting[table] = statement
    for table, statement in waiting.items():
        if not schema.is_new(table):
            yield statement, Hit("missing-analyze", table)


def _enums(statements: Sequence[Statement]) -> Iterator[Placed]:
    added: dict[str, tuple[str, int | None]] = {}
    made = set()
    for statement in statements:
        tree = statement.tree
        if statement.kind == "create_enum_stmt":
            made.add(dotted(tree["type_name"]))
        elif statement.kind == "alter_enum_stmt" and not tree.get("old_val"):
            name = dotted(tree["type_name"])
            if name not in made and statement.transaction is not None:
                added[tree.get("new_val", "")] = (name, statement.transaction)
        else:
            for value in literals(tree) & added.keys():
                if added[value][1] == statement.transaction:
                    yield statement, Hit("enum-value-used-at-once", added[value][0], value)
