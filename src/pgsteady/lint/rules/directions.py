"""A revision's two directions: whether it does one thing, and whether it undoes that alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pgsteady.lint.hit import Hit
from pgsteady.lint.rule import WARNING, Rule
from pgsteady.lint.rules.transactions import Placed
from pgsteady.lint.schema import Schema
from pgsteady.lint.sql import Statement, commands, dropped, relation

RULES = (
    Rule(
        "destructive-downgrade",
        WARNING,
        "downgrade() removes what upgrade() did not make",
        "undo only what upgrade() did",
    ),
    Rule(
        "several-changes",
        WARNING,
        "unrelated changes fail, wait and go back together",
        "one logical change in each revision",
    ),
)


REMOVED = {"OBJECT_TABLE", "OBJECT_MATVIEW", "OBJECT_SCHEMA", "OBJECT_EXTENSION"}


def check_downgrade(
    upgrade: Sequence[Statement], downgrade: Sequence[Statement]
) -> Iterator[Placed]:
    """Find what ``downgrade`` removes and ``upgrade`` did not make."""
    made = {name for statement in upgrade for name in _made(statement)}
    for statement in downgrade:
        for name in _removed(statement):
            if name not in made and name.partition(".")[0] not in made:
                yield statement, Hit("destructive-downgrade", name)


def _made(statement: Statement) -> Iterator[str]:
    tree = statement.tree
    table = relation(tree.get("relation"))
    if statement.kind == "create_stmt":
        yield table
    elif statement.kind == "create_table_as_stmt":
        yield relation(tree["into"]["rel"])
    elif statement.kind == "create_schema_stmt":
        yield tree.get("schemaname", "")
    elif statement.kind == "insert_stmt":
        yield f"rows of {table}"
    elif statement.kind == "rename_stmt":
        renames_column = tree.get("rename_type") == "OBJECT_COLUMN"
        yield f"{table}.{tree['newname']}" if renames_column else tree["newname"]
    for subtype, _, definition in commands(statement):
        if subtype == "AT_AddColumn":
            yield f"{table}.{definition['colname']}"


def _removed(statement: Statement) -> Iterator[str]:
    tree = statement.tree
    if statement.kind == "drop_stmt" and tree.get("remove_type") in REMOVED:
        yield from dropped(tree)
    elif statement.kind == "truncate_stmt":
        for node in tree["relations"]:
            yield f"rows of {relation(node['range_var'])}"
    elif statement.kind == "delete_stmt":
        yield f"rows of {relation(tree['relation'])}"
    for subtype, command, _ in commands(statement):
        if subtype == "AT_DropColumn":
            yield f"{relation(tree['relation'])}.{command['name']}"


KINDS = {
    "AT_AddColumn": "columns",
    "AT_DropColumn": "columns",
    "AT_AlterColumnType": "columns",
    "AT_AddConstraint": "constraints",
    "AT_DropConstraint": "constraints",
}


def check_one_change(statements: Sequence[Statement], schema: Schema) -> Iterator[Hit]:
    """Find different kinds of change in several tables that exist."""
    kinds: dict[str, set[str]] = {}
    for statement in statements:
        table = relation(statement.tree.get("relation"))
        if not table or schema.is_new(table):
            continue
        found = {KINDS[subtype] for subtype, _, _ in commands(statement) if subtype in KINDS}
        if statement.kind == "index_stmt":
            found.add("indexes")
        elif statement.kind in {"update_stmt", "delete_stmt", "insert_stmt"}:
            found.add("rows")
        kinds.setdefault(table, set()).update(found)
    changed = {table: found for table, found in kinds.items() if found}
    together = set().union(*changed.values()) if changed else set()
    if len(changed) > 1 and len(together) > 1:
        yield Hit(
            "several-changes",
            ", ".join(sorted(changed)),
            f"{', '.join(sorted(together))} of {len(changed)} tables",
        )
