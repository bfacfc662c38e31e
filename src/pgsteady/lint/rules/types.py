"""A column's type changed: which pairs PostgreSQL stores alike.

From PostgreSQL's casts without function (``pg_cast.castmethod = 'b'``) and the functions
that support a length (varchar, numeric, timestamp, interval, varbit), which say that
a longer limit changes no value.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgsteady.lint.hit import Hit
from pgsteady.lint.rule import ERROR, IN_STEPS, WARNING, Rule
from pgsteady.lint.schema import Schema
from pgsteady.lint.sql import Statement, Tree, Type, commands, relation, type_of, unwrap

RULES = (
    Rule(
        "type-rewrites",
        ERROR,
        "the table is rewritten and its indexes too; nobody can use it meanwhile, and a value "
        "that does not fit makes it fail",
        IN_STEPS,
    ),
    Rule(
        "enum-value-removed",
        ERROR,
        "it fails if a row, a default, an index or a view still uses the value",
        "use text with a CHECK, or move all uses away in an earlier revision",
    ),
    Rule(
        "type-may-rewrite",
        WARNING,
        "which type it has is not known here: unless both are stored alike, the table is rewritten "
        "and nobody can use it meanwhile",
        f"if it is a rewrite, {IN_STEPS}",
    ),
    Rule(
        "vector-dimension-changed",
        ERROR,
        "it fails on the first existing row: no vector can be cast to another dimension",
        "add a column or rows for the new model, fill them, switch, drop the old ones",
    ),
)


TEXTS = {"text", "varchar", "citext"}
ALIKE = {("cidr", "inet"), ("xml", "text"), ("xml", "varchar")}
LIMITED = {"timestamp", "timestamptz", "time", "timetz", "interval", "varbit"}
VECTORS = {"vector", "halfvec", "sparsevec", "bit"}


def check_types(statement: Statement, schema: Schema) -> Iterator[Hit]:
    """ALTER TABLE … ALTER COLUMN … TYPE."""
    table = relation(statement.tree.get("relation"))
    if schema.is_new(table):
        return
    for subtype, command, definition in commands(statement):
        if subtype != "AT_AlterColumnType":
            continue
        name = command["name"]
        new = type_of(definition["type_name"])
        known = schema.column(table, name)
        old = known.type if known else None
        detail = f"{written(old)} to {written(new)}" if old else f"to {written(new)}"
        place = f"{table}.{name}"
        if old and (lost := _lost_values(schema, old, new)):
            yield Hit("enum-value-removed", place, ", ".join(lost))
        if old and old.name == new.name in VECTORS and old.modifiers != new.modifiers:
            if new.modifiers and old.modifiers:
                yield Hit("vector-dimension-changed", place, detail)
        elif _calculated(definition.get("raw_default"), name, new):
            yield Hit("type-rewrites", place, f"{detail} through USING")
        elif old is None:
            yield Hit("type-may-rewrite", place, detail)
        elif not (
            stored_alike(
                _plain(schema, old), _plain(schema, new), indexed=schema.is_indexed(table, name)
            )
            or _in_utc(schema, old, new)
        ):
            yield Hit("type-rewrites", place, detail)


def _lost_values(schema: Schema, old: Type, new: Type) -> list[str]:
    """Return the values of an enum that the other, which takes its place, has not."""
    if old.name not in schema.enums or new.name not in schema.enums:
        return []
    return [value for value in schema.enums[old.name] if value not in schema.enums[new.name]]


def _plain(schema: Schema, type_: Type) -> Type:
    """Return what a domain without constraints stands for; values are stored as that."""
    domain = schema.domains.get(type_.name)
    return domain.base if domain and not domain.constrained else type_


def _calculated(using: Tree | None, column: str, new: Type) -> bool:
    """Tell whether USING is more than the column, cast to its new type."""
    while using:
        kind, body = unwrap(using)
        if kind == "column_ref":
            return bool(body["fields"][-1]["string"]["sval"] != column)
        if kind != "type_cast" or type_of(body["type_name"]) != new:
            return True
        using = body["arg"]
    return False


def stored_alike(old: Type, new: Type, *, indexed: bool = True) -> bool:
    """Tell whether a value of ``old`` can stay as it is when the column becomes ``new``.

    citext sorts in its own way, so that an index over it is built anew.
    """
    if old.array != new.array:
        return False
    if old == new or (old.name, new.name) in ALIKE:
        return True
    if old.name in TEXTS and new.name in TEXTS:
        resorted = indexed and "citext" in {old.name, new.name}
        return not resorted and (not new.modifiers or _longer(old, new))
    if old.name == new.name == "numeric":
        return not new.modifiers or (_scale(old) == _scale(new) and _longer(old, new))
    if old.name == new.name and old.name in LIMITED:
        return not new.modifiers or _longer(old, new)
    return False


def _in_utc(schema: Schema, old: Type, new: Type) -> bool:
    """In UTC a time with a zone is stored as the time without."""
    moved = {old.name, new.name} == {"timestamp", "timestamptz"}
    return moved and schema.settings.get("timezone", "").upper() == "UTC"


def _longer(old: Type, new: Type) -> bool:
    return bool(old.modifiers) and new.modifiers[0] >= old.modifiers[0]


def _scale(type_: Type) -> int:
    return type_.modifiers[1] if len(type_.modifiers) > 1 else 0


def written(type_: Type) -> str:
    """Return a type as one writes it."""
    limits = f"({', '.join(map(str, type_.modifiers))})" if type_.modifiers else ""
    return f"{type_.name}{limits}{'[]' if type_.array else ''}"
