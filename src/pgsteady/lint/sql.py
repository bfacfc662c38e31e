"""Statements as PostgreSQL's own parser reads them.

The tree is libpg_query's, as plain dictionaries: a node is ``{kind: body}``, and what has
its default value is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

# Imported so that mypy passes over them: one has no types, the other's are no valid stub.
_json_format = import_module("google.protobuf.json_format")
_postgast = import_module("postgast")

Tree = dict[str, Any]


@dataclass(frozen=True)
class Statement:
    """One statement of a revision.

    ``transaction`` numbers the transactions of the revision; None is a statement by
    itself, in an ``autocommit_block``. ``line`` is of the revision's file.
    ``problem`` is what the parser said, and then ``kind`` is empty.
    """

    text: str
    kind: str = ""
    tree: Tree = field(default_factory=dict, repr=False)
    line: int | None = None
    transaction: int | None = 0
    problem: str = ""


@dataclass(frozen=True)
class Type:
    """A column's type: ``Type("varchar", (50,))``."""

    name: str
    modifiers: tuple[int, ...] = ()
    array: bool = False


def parse(text: str, line: int | None = None, transaction: int | None = 0) -> list[Statement]:
    """Return the statements of ``text``."""
    try:
        found = _postgast.parse(text).stmts
    except _postgast.PgQueryError as error:
        return [Statement(text.strip(), line=line, transaction=transaction, problem=str(error))]
    raw = text.encode()
    statements = []
    for one in found:
        end = one.stmt_location + one.stmt_len if one.stmt_len else len(raw)
        words = raw[one.stmt_location : end].decode().strip().rstrip(";")
        kind, tree = unwrap(_json_format.MessageToDict(one.stmt, preserving_proto_field_name=True))
        statements.append(Statement(words, kind, tree, line, transaction))
    return statements


def unwrap(node: Tree) -> tuple[str, Any]:
    """Return a node's kind and body."""
    return next(iter(node.items()), ("", {}))


def walk(node: Any) -> Iterator[tuple[str, Tree]]:
    """Return each (kind, body) below ``node``, from the outside in."""
    if isinstance(node, dict):
        for kind, body in node.items():
            if isinstance(body, dict):
                yield kind, body
            yield from walk(body)
    elif isinstance(node, list):
        for item in node:
            yield from walk(item)


def words(nodes: Iterable[Tree]) -> list[str]:
    """Return the strings of a list of string nodes."""
    return [node["string"].get("sval", "") for node in nodes if "string" in node]


def dotted(nodes: Iterable[Tree]) -> str:
    """Return a qualified name, without the schemas that are searched anyway."""
    parts = words(nodes)
    return ".".join(parts[1:] if len(parts) > 1 and parts[0] in _SEARCHED else parts)


def relation(tree: Tree | None) -> str:
    """Return the name of a table, index or view."""
    if not tree:
        return ""
    schema, name = tree.get("schemaname", ""), str(tree.get("relname", ""))
    return name if not schema or schema in _SEARCHED else f"{schema}.{name}"


def type_of(tree: Tree) -> Type:
    """Return the type that a ``type_name`` names."""
    modifiers = tuple(
        node["a_const"].get("ival", {}).get("ival", 0)
        for node in tree.get("typmods", [])
        if "ival" in node.get("a_const", {})
    )
    return Type(dotted(tree.get("names", [])).lower(), modifiers, "array_bounds" in tree)


def constraints(column: Tree) -> dict[str, Tree]:
    """Return the constraints of a column definition by type: ``{"CONSTR_DEFAULT": …}``."""
    found = [node["constraint"] for node in column.get("constraints", [])]
    return {one["contype"]: one for one in found}


def keys(constraint: Tree) -> tuple[str, ...]:
    """Return the columns of a table constraint."""
    return tuple(words(constraint.get("keys", []) or constraint.get("fk_attrs", [])))


def commands(statement: Statement) -> Iterator[tuple[str, Tree, Tree]]:
    """Return (subtype, command, definition) of each part of an ALTER TABLE."""
    if statement.kind == "alter_table_stmt" and statement.tree.get("objtype") == "OBJECT_TABLE":
        for node in statement.tree.get("cmds", []):
            command = node["alter_table_cmd"]
            _, definition = unwrap(command.get("def", {}))
            yield command["subtype"], command, definition if isinstance(definition, dict) else {}


def options(nodes: Iterable[Tree]) -> dict[str, Any]:
    """Return the options of a statement by name; what is only named is True."""
    found = {}
    for node in nodes:
        one = node["def_elem"]
        _, value = unwrap(one.get("arg", {"": True}))
        if "items" in (value if isinstance(value, dict) else {}):
            value = " ".join(words(value["items"]))
        elif isinstance(value, dict):
            value = value.get("sval", value.get("ival", value.get("boolval", value)))
        found[one["defname"]] = value
    return found


def columns_named(tree: Any) -> set[str]:
    """Return the names of the columns that an expression uses, unqualified."""
    found = set()
    for kind, body in walk(tree):
        if kind == "column_ref" and body.get("fields"):
            last = body["fields"][-1]
            found.add("*" if "a_star" in last else last["string"].get("sval", ""))
    return found


def tables_read(tree: Any) -> set[str]:
    """Return the tables that a query reads."""
    return {relation(body) for kind, body in walk(tree) if kind == "range_var"}


def dropped(tree: Tree) -> list[str]:
    """Return the names of what a DROP statement removes."""
    found = []
    for node in tree.get("objects", []):
        kind, body = unwrap(node)
        if kind == "list":
            found.append(dotted(body.get("items", [])))
        elif kind == "type_name":
            found.append(dotted(body["names"]))
        elif kind == "object_with_args":
            found.append(dotted(body["objname"]))
        elif kind == "string":
            found.append(body.get("sval", ""))
    return found


def literals(tree: Any) -> set[str]:
    """Return the text constants of a statement."""
    return {
        body["sval"]["sval"]
        for kind, body in walk(tree)
        if kind == "a_const" and body.get("sval", {}).get("sval")
    }


def statement_text(kind: str, tree: Tree) -> str:
    """Return a statement's text."""
    result = _postgast.pg_query_pb2.ParseResult()
    _json_format.ParseDict({"stmts": [{"stmt": {kind: tree}}]}, result)
    return str(_postgast.deparse(result))


def expression_text(tree: Tree) -> str:
    """Return the text of an expression."""
    target = {"target_list": [{"res_target": {"val": tree}}], "op": "SETOP_NONE"}
    query = {**target, "limit_option": "LIMIT_OPTION_DEFAULT"}
    return statement_text("select_stmt", query).removeprefix("SELECT ")


def type_text(tree: Tree) -> str:
    """Return the text of a type's name."""
    null: Tree = {"a_const": {"isnull": True}}
    cast = expression_text({"type_cast": {"arg": null, "type_name": tree}})
    return cast.removeprefix("NULL::")


_SEARCHED = ("pg_catalog", "public")
