"""What is dropped or renamed."""

from __future__ import annotations

from collections.abc import Iterator

from pgsteady.lint.hit import Hit
from pgsteady.lint.rule import ERROR, IN_STEPS, WARNING, Rule
from pgsteady.lint.schema import Schema
from pgsteady.lint.sql import Statement, Tree, dotted, dropped, relation

RULES = (
    Rule(
        "drop-table",
        ERROR,
        "all its rows are gone for good, and programs that still name it fail",
        "release programs that do not use it, rename it, and drop it after some time",
    ),
    Rule(
        "drop-takes-data",
        ERROR,
        "tables or columns that depend on it go too, with all they hold",
        "drop what depends on it by name, each after thought",
    ),
    Rule(
        "drop-in-use",
        ERROR,
        "something depends on it, so PostgreSQL refuses",
        "change what depends on it first",
    ),
    Rule(
        "drop-breaks-code",
        WARNING,
        "programs that still name it fail",
        "release programs that do not use it first",
    ),
    Rule(
        "rename-breaks-code",
        WARNING,
        "programs that know the old name fail until they are replaced",
        f"rename {IN_STEPS}; for a table, leave a view under the old name",
    ),
    Rule(
        "enum-value-renamed",
        WARNING,
        "programs that write or compare the old value fail",
        "add the new value, move the rows over in batches, then stop using the old one",
    ),
)


ALWAYS = {
    "OBJECT_SCHEMA": "drop-takes-data",
    "OBJECT_EXTENSION": "drop-takes-data",
    "OBJECT_VIEW": "drop-breaks-code",
    "OBJECT_MATVIEW": "drop-breaks-code",
    "OBJECT_FOREIGN_TABLE": "drop-breaks-code",
}
TYPES = {"OBJECT_TYPE", "OBJECT_DOMAIN"}


def check_drop(statement: Statement, schema: Schema) -> Iterator[Hit]:
    """DROP TABLE, SCHEMA, TYPE, DOMAIN, EXTENSION, VIEW, and the whole database."""
    if statement.kind in {"dropdb_stmt", "drop_owned_stmt"}:
        yield Hit("drop-takes-data", statement.tree.get("dbname", "all that the role owns"))
    if statement.kind != "drop_stmt":
        return
    kind = statement.tree.get("remove_type", "")
    for name in dropped(statement.tree):
        if kind == "OBJECT_TABLE" and not schema.is_new(name):
            yield Hit("drop-table", name)
        elif kind in TYPES:
            yield from _type(statement.tree, name, schema)
        elif kind in ALWAYS and not schema.is_new(name):
            yield Hit(ALWAYS[kind], name)


def _type(tree: Tree, name: str, schema: Schema) -> Iterator[Hit]:
    if used := ", ".join(schema.uses(name)):
        takes = tree.get("behavior") == "DROP_CASCADE"
        yield Hit("drop-takes-data" if takes else "drop-in-use", name, used)
    elif tree.get("behavior") == "DROP_CASCADE" and not _known(schema, name):
        yield Hit("drop-takes-data", name)


def _known(schema: Schema, name: str) -> bool:
    return name in schema.enums or name in schema.domains


RENAMED = {"OBJECT_TABLE", "OBJECT_COLUMN", "OBJECT_SCHEMA", "OBJECT_VIEW", "OBJECT_MATVIEW"}


def check_rename(statement: Statement, schema: Schema) -> Iterator[Hit]:
    """ALTER … RENAME and SET SCHEMA."""
    tree = statement.tree
    table = relation(tree.get("relation"))
    if schema.is_new(table):
        return
    if statement.kind == "rename_stmt" and tree.get("rename_type") in RENAMED:
        place = ".".join(filter(None, [table, tree.get("subname")]))
        yield Hit("rename-breaks-code", place, f"becomes {tree.get('newname')}")
    elif statement.kind == "alter_object_schema_stmt":
        yield Hit("rename-breaks-code", table or "object", f"moves to {tree.get('newschema')}")
    elif statement.kind == "alter_enum_stmt" and tree.get("old_val"):
        yield Hit("enum-value-renamed", dotted(tree["type_name"]), tree["old_val"])
