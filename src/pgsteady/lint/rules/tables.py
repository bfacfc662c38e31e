"""Whole tables: rewritten, refreshed, attached, and what cannot run in a transaction."""

from __future__ import annotations

from collections.abc import Iterator

from pgsteady.lint.hit import Hit
from pgsteady.lint.rule import AUTOCOMMIT, ERROR, INFO, Rule
from pgsteady.lint.schema import Schema
from pgsteady.lint.sql import Statement, columns_named, commands, dotted, options, relation

RULES = (
    Rule(
        "table-rewrite",
        ERROR,
        "the whole table is rewritten; nobody can read or write it meanwhile",
        "do it by pg_repack, or in a maintenance window",
    ),
    Rule(
        "refresh-blocks-reads",
        ERROR,
        "nobody can read the materialized view until it is calculated",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY, which needs a unique index",
    ),
    Rule(
        "attach-partition-scans",
        ERROR,
        "nobody can read or write that partition while all its rows are checked",
        "give it a valid CHECK of the same bounds first; drop that afterwards",
    ),
    Rule(
        "brief-lock",
        INFO,
        "for a short lock it waits behind everybody who uses the table, and everybody after waits "
        "for it",
        "see to a lock_timeout, and try again",
    ),
    Rule(
        "cannot-run-in-transaction",
        ERROR,
        "PostgreSQL refuses it inside a transaction, and Alembic runs each revision in one",
        f"run it {AUTOCOMMIT}",
    ),
    Rule(
        "enum-created",
        INFO,
        "values can be added later, but not removed",
        "text with a CHECK constraint can be changed both ways",
    ),
)


REWRITES = {
    "AT_SetUnLogged": "SET UNLOGGED",
    "AT_SetLogged": "SET LOGGED",
    "AT_SetAccessMethod": "SET ACCESS METHOD",
    "AT_SetTableSpace": "SET TABLESPACE",
}
BRIEF = {
    "AT_DetachPartition": "DETACH PARTITION",
    "AT_DisableTrig": "DISABLE TRIGGER",
    "AT_DisableTrigAll": "DISABLE TRIGGER ALL",
    "AT_DisableTrigUser": "DISABLE TRIGGER USER",
}


def check_alterations(statement: Statement, schema: Schema) -> Iterator[Hit]:
    """ALTER TABLE of a whole table."""
    table = relation(statement.tree.get("relation"))
    for subtype, _, definition in commands(statement):
        if subtype == "AT_AttachPartition":
            yield from _attached(relation(definition["name"]), schema)
        elif schema.is_new(table):
            continue
        elif subtype in REWRITES:
            yield Hit("table-rewrite", table, REWRITES[subtype])
        elif subtype in BRIEF and not definition.get("concurrent"):
            yield Hit("brief-lock", table, BRIEF[subtype])


def _attached(partition: str, schema: Schema) -> Iterator[Hit]:
    """A valid CHECK over some column is taken for the partition's bounds."""
    found = schema.tables.get(partition)
    checks = [c for c in (found.constraints.values() if found else ()) if c.kind == "CONSTR_CHECK"]
    bounded = any(check.valid and columns_named(check.tree.get("raw_expr")) for check in checks)
    if not schema.is_new(partition) and not bounded:
        yield Hit("attach-partition-scans", partition)


def check_new_partition(statement: Statement, schema: Schema) -> Iterator[Hit]:
    """CREATE TABLE … PARTITION OF, beside a default partition that may hold its rows."""
    if statement.kind != "create_stmt" or "partbound" not in statement.tree:
        return
    for parent in statement.tree["inh_relations"]:
        found = schema.tables.get(relation(parent["range_var"]))
        rest = found.default_partition if found else None
        if rest and not schema.is_new(rest):
            yield Hit("attach-partition-scans", rest, "default partition")


def check_upkeep(statement: Statement, schema: Schema) -> Iterator[Hit]:
    """VACUUM FULL, CLUSTER, REFRESH MATERIALIZED VIEW, CREATE TRIGGER, CREATE TYPE."""
    tree = statement.tree
    if statement.kind == "vacuum_stmt" and "full" in options(tree.get("options", [])):
        tables = [relation(node["vacuum_relation"]["relation"]) for node in tree.get("rels", [])]
        for table in tables or ["every table"]:
            yield Hit("table-rewrite", table, "VACUUM FULL")
    elif statement.kind == "cluster_stmt":
        yield Hit("table-rewrite", relation(tree.get("relation")) or "every table", "CLUSTER")
    elif statement.kind == "refresh_mat_view_stmt":
        name = relation(tree["relation"])
        if not tree.get("concurrent") and not schema.is_new(name) and not tree.get("skip_data"):
            yield Hit("refresh-blocks-reads", name)
    elif statement.kind == "create_trig_stmt" and not schema.is_new(relation(tree["relation"])):
        yield Hit("brief-lock", relation(tree["relation"]), "CREATE TRIGGER")
    elif statement.kind == "create_enum_stmt":
        yield Hit("enum-created", dotted(tree["type_name"]))


ALONE = {
    "vacuum_stmt": "VACUUM",
    "createdb_stmt": "CREATE DATABASE",
    "dropdb_stmt": "DROP DATABASE",
    "alter_system_stmt": "ALTER SYSTEM",
    "create_table_space_stmt": "CREATE TABLESPACE",
}


def check_alone(statement: Statement, schema: Schema) -> Iterator[Hit]:
    """What PostgreSQL refuses inside a transaction."""
    del schema
    tree = statement.tree
    what = ALONE.get(statement.kind, "")
    if statement.kind == "vacuum_stmt" and not tree.get("is_vacuumcmd"):
        what = ""  # ANALYZE is a VacuumStmt too
    if statement.kind in {"index_stmt", "drop_stmt"} and tree.get("concurrent"):
        what = "CONCURRENTLY"
    if statement.kind == "reindex_stmt" and "concurrently" in options(tree.get("params", [])):
        what = "REINDEX CONCURRENTLY"
    detached = [d for s, _, d in commands(statement) if s == "AT_DetachPartition"]
    if any(one.get("concurrent") for one in detached):
        what = "DETACH PARTITION CONCURRENTLY"
    if what and statement.transaction is not None:
        yield Hit("cannot-run-in-transaction", relation(tree.get("relation")), what)
