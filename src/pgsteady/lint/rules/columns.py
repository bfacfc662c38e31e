"""Columns: added, dropped, renamed."""

from __future__ import annotations

from collections.abc import Iterator

from pgsteady.lint.hit import Hit
from pgsteady.lint.rule import ERROR, INFO, Rule
from pgsteady.lint.rules.constraints import BUILT
from pgsteady.lint.schema import Schema
from pgsteady.lint.sql import (
    Statement,
    Tree,
    commands,
    constraints,
    dotted,
    relation,
    type_of,
    walk,
)

RULES = (
    Rule(
        "required-column",
        ERROR,
        "it fails as soon as the table has a row, and programs that do not know the column cannot "
        "insert",
        "add it nullable or with a constant server_default",
    ),
    Rule(
        "volatile-default",
        ERROR,
        "the whole table is rewritten, as each row gets its own value; nobody can use it meanwhile",
        "add the column without default, then SET DEFAULT, then fill existing rows in batches",
    ),
    Rule(
        "numbered-column",
        ERROR,
        "the whole table is rewritten to number its rows; nobody can use it meanwhile",
        "add a plain column, give it a sequence as default, fill it in batches",
    ),
    Rule(
        "stored-column",
        ERROR,
        "the whole table is rewritten to calculate the column; nobody can use it meanwhile",
        "a VIRTUAL column (PostgreSQL 18), or a plain one kept by a trigger and filled in batches",
    ),
    Rule(
        "constrained-domain-column",
        ERROR,
        "the whole table is rewritten to check the domain; nobody can use it meanwhile",
        "use the domain's base type with a CHECK … NOT VALID",
    ),
    Rule(
        "json-column",
        INFO,
        "json has no equality: SELECT DISTINCT, GROUP BY and UNION over the table begin to fail",
        "use jsonb",
    ),
    Rule(
        "drop-column",
        ERROR,
        "the column's values are gone for good, and programs that still name it fail",
        "release programs that do not use it, keep a copy, then drop it",
    ),
    Rule(
        "view-uses-column",
        ERROR,
        "a view uses the column, so PostgreSQL refuses",
        "drop the view before and create it again after, in the same transaction",
    ),
)


VOLATILE = {
    "array_sample", "array_shuffle", "clock_timestamp", "currval", "gen_random_uuid", "lastval",
    "nextval", "random", "random_normal", "set_config", "setval", "timeofday", "uuidv4", "uuidv7",
    # uuid-ossp and pgcrypto
    "uuid_generate_v1", "uuid_generate_v1mc", "uuid_generate_v4", "gen_random_bytes", "gen_salt",
}  # fmt: skip
"""Functions that give each row its own value, and that a default may hold.

From ``pg_proc.provolatile`` of PostgreSQL 18, and the scripts of the two extensions.
"""


def check_added_columns(statement: Statement, schema: Schema) -> Iterator[Hit]:
    """ALTER TABLE … ADD COLUMN."""
    table = relation(statement.tree.get("relation"))
    if schema.is_new(table):
        return
    for subtype, _, definition in commands(statement):
        if subtype == "AT_AddColumn":
            yield from _added(definition, table, schema)


def _added(column: Tree, table: str, schema: Schema) -> Iterator[Hit]:
    name = f"{table}.{column.get('colname', '')}"
    type_, found = type_of(column["type_name"]), constraints(column)
    default = found.get("CONSTR_DEFAULT")
    filled = default is not None
    if "serial" in type_.name or "CONSTR_IDENTITY" in found:
        yield Hit("numbered-column", name)
        filled = True
    elif _stored(found.get("CONSTR_GENERATED")):
        yield Hit("stored-column", name)
    elif default is not None and (function := volatile(default, schema)):
        yield Hit("volatile-default", name, f"{function}()")
    elif (domain := schema.domains.get(type_.name)) and domain.constrained:
        yield Hit("constrained-domain-column", name)
    generated = "CONSTR_GENERATED" in found
    if "CONSTR_NOTNULL" in found and not filled and not generated:
        yield Hit("required-column", name)
    yield from _with_constraints(found, name, filled=filled)
    if type_.name == "json":
        yield Hit("json-column", name)


def _stored(generated: Tree | None) -> bool:
    return generated is not None and generated.get("generated_kind", "s") == "s"


def _with_constraints(found: dict[str, Tree], name: str, *, filled: bool) -> Iterator[Hit]:
    if "CONSTR_CHECK" in found:
        yield Hit("check-scans", name)
    if "CONSTR_FOREIGN" in found and filled:  # NULL needs no partner, and nothing is read
        partner = relation(found["CONSTR_FOREIGN"].get("pktable"))
        yield Hit("foreign-key-blocks-writes", name, f"references {partner}")
    for kind in found.keys() & BUILT.keys():
        yield Hit(BUILT[kind], name)


def volatile(expression: Tree, schema: Schema) -> str:
    """Return a function of the expression that gives each row its own value, or nothing.

    One that no revision has made is PostgreSQL's, unless it has a schema of its own.
    """
    for kind, body in walk(expression):
        if kind == "func_call":
            name = dotted(body["funcname"])
            known = schema.functions.get(name)
            foreign = known is None and "." in name
            if name in VOLATILE or foreign or (known and known.volatility == "volatile"):
                return name
    return ""


def check_dropped_columns(statement: Statement, schema: Schema) -> Iterator[Hit]:
    """ALTER TABLE … DROP COLUMN."""
    table = relation(statement.tree.get("relation"))
    if schema.is_new(table):
        return
    for subtype, command, _ in commands(statement):
        if subtype == "AT_DropColumn":
            name = command.get("name", "")
            yield Hit("drop-column", f"{table}.{name}")
            if command.get("behavior") != "DROP_CASCADE":
                yield from _in_views(schema, table, name)


def check_columns_of_views(statement: Statement, schema: Schema) -> Iterator[Hit]:
    """ALTER TABLE … ALTER COLUMN … TYPE, where a view uses the column."""
    table = relation(statement.tree.get("relation"))
    for subtype, command, _ in commands(statement):
        if subtype == "AT_AlterColumnType":
            yield from _in_views(schema, table, command["name"])


def _in_views(schema: Schema, table: str, column: str) -> Iterator[Hit]:
    for name, view in schema.views.items():
        if table in view.tables and view.columns & {column, "*"}:
            yield Hit("view-uses-column", f"{table}.{column}", f"view {name}")
