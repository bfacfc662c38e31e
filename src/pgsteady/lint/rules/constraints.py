"""Constraints: added, validated, dropped."""

from __future__ import annotations

from collections.abc import Iterator

from pgsteady.lint.hit import Hit
from pgsteady.lint.rule import ERROR, INFO, Rule
from pgsteady.lint.schema import Schema
from pgsteady.lint.sql import (
    Statement,
    Tree,
    commands,
    constraints,
    dotted,
    keys,
    relation,
)

RULES = (
    Rule(
        "check-scans",
        ERROR,
        "nobody can read or write the table while all its rows are checked, and it fails if one "
        "violates it",
        "add it NOT VALID, and VALIDATE CONSTRAINT in another transaction",
    ),
    Rule(
        "foreign-key-blocks-writes",
        ERROR,
        "nobody can write to either table while all rows are checked, and it fails if one has no "
        "partner",
        "add it with postgresql_not_valid=True, and VALIDATE CONSTRAINT in another transaction",
    ),
    Rule(
        "foreign-key-without-index",
        INFO,
        "each delete in the referenced table reads this table whole",
        "index the referencing columns",
    ),
    Rule(
        "unique-builds-index",
        ERROR,
        "nobody can read or write the table until the index is built, and it fails on duplicates",
        "create a unique index concurrently, then ADD CONSTRAINT … UNIQUE USING INDEX",
    ),
    Rule(
        "primary-key-builds-index",
        ERROR,
        "nobody can read or write the table until the index is built, and it fails on duplicates "
        "and NULLs",
        "a unique index made concurrently over NOT NULL columns, then ADD PRIMARY KEY USING INDEX",
    ),
    Rule(
        "primary-key-over-nullable",
        ERROR,
        "its columns are not known to be NOT NULL, so nobody can read or write the table while all "
        "rows are checked",
        "make them NOT NULL first: CHECK (… IS NOT NULL) NOT VALID, VALIDATE, SET NOT NULL",
    ),
    Rule(
        "exclusion-builds-index",
        ERROR,
        "nobody can read or write the table until the index is built; there is no NOT VALID form",
        "make a new table that has the constraint, copy the rows in batches, and switch",
    ),
    Rule(
        "not-null-scans",
        ERROR,
        "nobody can read or write the table while all its rows are checked, and it fails if one is "
        "NULL",
        "CHECK (… IS NOT NULL) NOT VALID, VALIDATE in another transaction, then SET NOT NULL and "
        "drop the check",
    ),
    Rule(
        "domain-check-scans",
        ERROR,
        "nobody can write to the tables that use the domain while all their rows are checked",
        "add it NOT VALID, and ALTER DOMAIN … VALIDATE CONSTRAINT in another transaction",
    ),
    Rule(
        "constraint-dropped",
        INFO,
        "from now on the database accepts what it refused, and going back means checking all rows",
        "make sure that the application no longer relies on it",
    ),
    Rule(
        "not-null-dropped",
        INFO,
        "readers that expect a value will meet NULL, and going back means checking all rows",
        "let every reader handle NULL first",
    ),
)


BUILT = {
    "CONSTR_UNIQUE": "unique-builds-index",
    "CONSTR_PRIMARY": "primary-key-builds-index",
    "CONSTR_EXCLUSION": "exclusion-builds-index",
}


def check_constraints(statement: Statement, schema: Schema) -> Iterator[Hit]:
    """ALTER TABLE … ADD CONSTRAINT, SET NOT NULL, DROP CONSTRAINT, DROP NOT NULL."""
    table = relation(statement.tree.get("relation"))
    if schema.is_new(table):
        return
    for subtype, command, definition in commands(statement):
        name = command.get("name", "")
        if subtype == "AT_AddConstraint":
            yield from _added(definition, table, schema)
        elif subtype == "AT_SetNotNull":
            yield from _not_null(schema, table, [name])
        elif subtype == "AT_DropNotNull":
            yield Hit("not-null-dropped", f"{table}.{name}")
        elif subtype == "AT_DropConstraint":
            yield Hit("constraint-dropped", table, f"constraint {name}")


def _added(constraint: Tree, table: str, schema: Schema) -> Iterator[Hit]:
    kind, name = constraint["contype"], constraint.get("conname", "")
    detail = f"constraint {name}" if name else ""
    if index := constraint.get("indexname"):
        known = schema.indexes.get(index)
        columns = known.columns if known else ()
        if kind == "CONSTR_PRIMARY" and not (columns and _all_not_null(schema, table, columns)):
            yield Hit("primary-key-over-nullable", table, detail)
    elif kind in BUILT:
        yield Hit(BUILT[kind], table, detail)
    elif constraint.get("skip_validation"):
        return
    elif kind == "CONSTR_CHECK":
        yield Hit("check-scans", table, detail)
    elif kind == "CONSTR_FOREIGN":
        yield Hit("foreign-key-blocks-writes", table, _partner(constraint))
    elif kind == "CONSTR_NOTNULL":
        yield from _not_null(schema, table, keys(constraint))


def _partner(constraint: Tree) -> str:
    return f"references {relation(constraint.get('pktable'))}"


def _not_null(schema: Schema, table: str, columns: tuple[str, ...] | list[str]) -> Iterator[Hit]:
    for column in columns:
        if not _all_not_null(schema, table, (column,)):
            yield Hit("not-null-scans", f"{table}.{column}")


def _all_not_null(schema: Schema, table: str, columns: tuple[str, ...]) -> bool:
    """Tell whether PostgreSQL knows without looking at rows that no column is NULL."""
    found = schema.tables.get(table)
    if found is None:
        return False
    return all(
        ((known := found.columns.get(column)) is not None and known.not_null)
        or found.is_checked_not_null(column)
        for column in columns
    )


def check_domain(statement: Statement, schema: Schema) -> Iterator[Hit]:
    """ALTER DOMAIN … ADD CONSTRAINT."""
    if statement.kind != "alter_domain_stmt":
        return
    name = dotted(statement.tree["type_name"])
    adds_check = statement.tree.get("subtype") == "C"
    valid = not statement.tree.get("def", {}).get("constraint", {}).get("skip_validation")
    known = schema.domains.get(name)
    unused = known is not None and not schema.uses(name)
    sets_not_null = statement.tree.get("subtype") == "O"
    if ((adds_check and valid) or sets_not_null) and not unused:
        yield Hit("domain-check-scans", name, ", ".join(schema.uses(name)))


def check_foreign_key_index(statement: Statement, schema: Schema) -> Iterator[Hit]:
    """A foreign key of a new table or column whose columns no index leads with."""
    if statement.kind == "create_stmt":
        table = relation(statement.tree["relation"])
        elements = statement.tree.get("table_elts", [])
    else:
        table = relation(statement.tree.get("relation"))
        elements = [c["def"] for s, c, _ in commands(statement) if s == "AT_AddColumn"]
    for element in elements:
        column = element.get("column_def", {})
        found = constraints(column)
        indexed = found.keys() & BUILT.keys() or schema.is_key(table, column.get("colname", ""))
        if "CONSTR_FOREIGN" in found and not indexed:
            yield Hit("foreign-key-without-index", f"{table}.{column['colname']}")
