"""What the revisions before have made, as far as their SQL tells.

A statement's danger depends on what is there: a column's type, whether a valid CHECK
says that it is not NULL, whether this revision made the table itself. Nothing here asks
a database; what the revisions do not tell is unknown, and ``table()`` returns None.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from pgsteady.lint.sql import (
    Statement,
    Tree,
    Type,
    columns_named,
    commands,
    constraints,
    dotted,
    dropped,
    keys,
    options,
    relation,
    tables_read,
    type_of,
    unwrap,
    words,
)


@dataclass(frozen=True)
class Column:
    """A column, as far as it matters here."""

    type: Type
    not_null: bool = False


@dataclass
class Constraint:
    """A constraint: its kind (``CONSTR_CHECK`` …), its definition and whether it is valid."""

    kind: str
    tree: Tree
    valid: bool = True


@dataclass
class Table:
    """A table or materialized view. ``new``: made by the revision at hand."""

    columns: dict[str, Column] = field(default_factory=dict)
    constraints: dict[str, Constraint] = field(default_factory=dict)
    partitioned: bool = False
    materialized: bool = False
    default_partition: str | None = None
    new: bool = True

    def unique_keys(self) -> set[tuple[str, ...]]:
        """Return the columns of each primary key and unique constraint."""
        unique = {"CONSTR_PRIMARY", "CONSTR_UNIQUE"}
        return {keys(c.tree) for c in self.constraints.values() if c.kind in unique}

    def is_checked_not_null(self, column: str) -> bool:
        """Tell whether a valid constraint says that ``column`` is not NULL."""
        return any(
            column in _columns_not_null(found.tree.get("raw_expr", {}))
            or (found.kind == "CONSTR_NOTNULL" and column in keys(found.tree))
            for found in self.constraints.values()
            if found.valid
        )


@dataclass(frozen=True)
class Index:
    """An index: its table and plain columns (expressions are empty strings)."""

    table: str
    columns: tuple[str, ...]
    unique: bool


@dataclass(frozen=True)
class View:
    """What a view reads."""

    tables: frozenset[str]
    columns: frozenset[str]


@dataclass(frozen=True)
class Domain:
    """A domain: the type it stands for, and whether it has constraints."""

    base: Type
    constrained: bool = False


@dataclass(frozen=True)
class Function:
    """A function: immutable, stable or volatile, and its text where it is a string."""

    volatility: str
    body: str


@dataclass
class Schema:
    """The objects by name; those of ``public`` without it."""

    tables: dict[str, Table] = field(default_factory=dict)
    indexes: dict[str, Index] = field(default_factory=dict)
    views: dict[str, View] = field(default_factory=dict)
    enums: dict[str, list[str]] = field(default_factory=dict)
    domains: dict[str, Domain] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)

    def begin_revision(self) -> None:
        """From now on, what there is counts as existing, and filled."""
        for table in self.tables.values():
            table.new = False
        self.settings.clear()

    def is_new(self, table: str) -> bool:
        """Tell whether the revision at hand made ``table``, so that nobody can wait for it."""
        found = self.tables.get(table)
        return found is not None and found.new

    def column(self, table: str, column: str) -> Column | None:
        """Return a column, None where it is not known."""
        found = self.tables.get(table)
        return found.columns.get(column) if found else None

    def is_key(self, table: str, column: str) -> bool:
        """Tell whether values of ``column`` say which rows: it leads a unique index.

        Of a table that is not known, ``id`` is taken for the key.
        """
        found = self.tables.get(table)
        if found is None or not found.columns:
            return column == "id"
        leading = {columns[0] for columns in found.unique_keys() if columns}
        leading |= {index.columns[0] for index in self.indexes.values() if index.table == table}
        return column in leading

    def is_indexed(self, table: str, column: str) -> bool:
        """Tell whether an index or key holds ``column``."""
        found = self.tables.get(table)
        return any(column in key for key in (found.unique_keys() if found else ())) or any(
            index.table == table and column in index.columns for index in self.indexes.values()
        )

    def uses(self, type_name: str) -> list[str]:
        """Return the columns of that type: ``table.column``."""
        return [
            f"{name}.{column}"
            for name, table in self.tables.items()
            for column, one in table.columns.items()
            if one.type.name == type_name
        ]

    def apply(self, statement: Statement) -> None:
        """Note what ``statement`` changes."""
        if change := _CHANGES.get(statement.kind):
            change(self, statement.tree)
        for subtype, command, definition in commands(statement):
            table = self.tables.get(relation(statement.tree.get("relation")))
            if table and (alter := _ALTERATIONS.get(subtype)):
                alter(self, table, command, definition)


def _columns_not_null(tree: Tree) -> set[str]:
    """Return the columns that an expression, if true, says are not NULL."""
    kind, body = unwrap(tree)
    if kind == "null_test" and body.get("nulltesttype") == "IS_NOT_NULL":
        return columns_named(body.get("arg"))
    if kind == "bool_expr" and body.get("boolop") == "AND_EXPR":
        return set().union(*map(_columns_not_null, body.get("args", [])))
    return set()


def _create_table(schema: Schema, tree: Tree) -> None:
    name = relation(tree.get("relation"))
    if tree.get("if_not_exists") and name in schema.tables:
        return
    table = schema.tables[name] = Table(partitioned="partspec" in tree)
    for element in tree.get("table_elts", []):
        kind, body = unwrap(element)
        if kind == "column_def":
            _add_column(schema, table, {}, body)
        elif kind == "constraint":
            _add_constraint(schema, table, {}, body)
        elif kind == "table_like_clause":
            table.columns |= schema.tables.get(relation(body["relation"]), Table()).columns
    for parent in tree.get("inh_relations", []):
        if found := schema.tables.get(relation(parent["range_var"])):
            table.columns |= found.columns
            if tree.get("partbound", {}).get("is_default"):
                found.default_partition = name


def _add_column(schema: Schema, table: Table, _: Tree, definition: Tree) -> None:
    name, found = definition.get("colname", ""), constraints(definition)
    never_null = found.keys() & {"CONSTR_NOTNULL", "CONSTR_PRIMARY", "CONSTR_IDENTITY"}
    type_ = type_of(definition.get("type_name", {}))
    table.columns.setdefault(name, Column(type_, bool(never_null) or "serial" in type_.name))
    for kind, body in found.items():
        if kind in {"CONSTR_PRIMARY", "CONSTR_UNIQUE"}:
            key = {**body, "keys": [{"string": {"sval": name}}]}
            _add_constraint(schema, table, {}, key)
        elif kind in {"CONSTR_CHECK", "CONSTR_FOREIGN"}:
            _add_constraint(schema, table, {}, body)


def _add_constraint(schema: Schema, table: Table, _: Tree, definition: Tree) -> None:
    kind = definition["contype"]
    name = definition.get("conname") or f"{kind} {len(table.constraints)}"
    valid = not definition.get("skip_validation", False)
    if index := schema.indexes.get(definition.get("indexname", "")):
        definition = {**definition, "keys": [{"string": {"sval": c}} for c in index.columns]}
    table.constraints[name] = Constraint(kind, definition, valid)
    if kind == "CONSTR_PRIMARY" or (kind == "CONSTR_NOTNULL" and valid):
        for column in keys(definition):
            _set_not_null(schema, table, {"name": column}, {})


def _validate(_: Schema, table: Table, command: Tree, __: Tree) -> None:
    if found := table.constraints.get(command.get("name", "")):
        found.valid = True


def _set_not_null(_: Schema, table: Table, command: Tree, __: Tree) -> None:
    if found := table.columns.get(command["name"]):
        table.columns[command["name"]] = replace(found, not_null=True)


def _drop_not_null(_: Schema, table: Table, command: Tree, __: Tree) -> None:
    if found := table.columns.get(command["name"]):
        table.columns[command["name"]] = replace(found, not_null=False)


def _set_type(_: Schema, table: Table, command: Tree, definition: Tree) -> None:
    if found := table.columns.get(command["name"]):
        type_ = type_of(definition["type_name"])
        table.columns[command["name"]] = replace(found, type=type_)


def _drop_column(_: Schema, table: Table, command: Tree, __: Tree) -> None:
    table.columns.pop(command.get("name", ""), None)


def _drop_constraint(_: Schema, table: Table, command: Tree, __: Tree) -> None:
    table.constraints.pop(command.get("name", ""), None)


def _create_table_as(schema: Schema, tree: Tree) -> None:
    materialized = tree.get("objtype") == "OBJECT_MATVIEW"
    schema.tables[relation(tree["into"]["rel"])] = Table(materialized=materialized)


def _create_index(schema: Schema, tree: Tree) -> None:
    columns = tuple(p["index_elem"].get("name", "") for p in tree.get("index_params", []))
    schema.indexes[tree.get("idxname", "")] = Index(
        relation(tree.get("relation")), columns, tree.get("unique", False)
    )


def _create_view(schema: Schema, tree: Tree) -> None:
    query = tree.get("query", {})
    schema.views[relation(tree.get("view"))] = View(
        frozenset(tables_read(query)), frozenset(columns_named(query))
    )


def _create_enum(schema: Schema, tree: Tree) -> None:
    schema.enums[dotted(tree["type_name"])] = words(tree.get("vals", []))


def _alter_enum(schema: Schema, tree: Tree) -> None:
    values = schema.enums.setdefault(dotted(tree["type_name"]), [])
    if old := tree.get("old_val"):
        values[:] = [tree.get("new_val", "") if value == old else value for value in values]
    else:
        values.append(tree.get("new_val", ""))


def _create_domain(schema: Schema, tree: Tree) -> None:
    base = type_of(tree["type_name"])
    schema.domains[dotted(tree["domainname"])] = Domain(base, bool(tree.get("constraints")))


def _alter_domain(schema: Schema, tree: Tree) -> None:
    name = dotted(tree["type_name"])
    known = schema.domains.get(name)
    if known and tree.get("subtype") in {"C", "O"}:
        schema.domains[name] = replace(known, constrained=True)


def _create_function(schema: Schema, tree: Tree) -> None:
    said = options(tree.get("options", []))
    schema.functions[dotted(tree["funcname"])] = Function(
        said.get("volatility", "volatile"), str(said.get("as", ""))
    )


def _set(schema: Schema, tree: Tree) -> None:
    constants = [node.get("a_const", {}) for node in tree.get("args", [])]
    values = [constant.get("sval", {}).get("sval", "") for constant in constants]
    schema.settings[tree.get("name", "").lower()] = ", ".join(values)


def _rename(schema: Schema, tree: Tree) -> None:
    old, new = relation(tree.get("relation")), tree.get("newname", "")
    kind = tree.get("rename_type")
    if kind == "OBJECT_TABLE" and old in schema.tables:
        schema.tables[new] = schema.tables.pop(old)
    elif kind == "OBJECT_COLUMN" and old in schema.tables:
        columns = schema.tables[old].columns
        if found := columns.pop(tree.get("subname", ""), None):
            columns[new] = found
    elif kind == "OBJECT_TABCONSTRAINT" and old in schema.tables:
        found_by = schema.tables[old].constraints
        if constraint := found_by.pop(tree.get("subname", ""), None):
            found_by[new] = constraint
    elif kind == "OBJECT_TYPE":
        name = dotted(tree["object"].get("list", {}).get("items", []))
        if name in schema.enums:
            schema.enums[new] = schema.enums.pop(name)
            _rename_type(schema, name, new)


def _rename_type(schema: Schema, old: str, new: str) -> None:
    for table in schema.tables.values():
        for name, column in table.columns.items():
            if column.type.name == old:
                table.columns[name] = replace(column, type=replace(column.type, name=new))


def _drop(schema: Schema, tree: Tree) -> None:
    places: dict[str, dict[str, Any]] = {
        "OBJECT_TABLE": schema.tables,
        "OBJECT_MATVIEW": schema.tables,
        "OBJECT_VIEW": schema.views,
        "OBJECT_INDEX": schema.indexes,
        "OBJECT_TYPE": schema.enums,
        "OBJECT_DOMAIN": schema.domains,
    }
    place = places.get(tree.get("remove_type", ""), {})
    for name in dropped(tree):
        place.pop(name, None)
        if place is schema.tables:
            schema.indexes = {n: one for n, one in schema.indexes.items() if one.table != name}


_CHANGES: dict[str, Callable[[Schema, Tree], None]] = {
    "create_stmt": _create_table,
    "create_table_as_stmt": _create_table_as,
    "index_stmt": _create_index,
    "view_stmt": _create_view,
    "create_enum_stmt": _create_enum,
    "alter_enum_stmt": _alter_enum,
    "create_domain_stmt": _create_domain,
    "alter_domain_stmt": _alter_domain,
    "create_function_stmt": _create_function,
    "rename_stmt": _rename,
    "variable_set_stmt": _set,
    "drop_stmt": _drop,
}

_ALTERATIONS: dict[str, Callable[[Schema, Table, Tree, Tree], None]] = {
    "AT_AddColumn": _add_column,
    "AT_AddConstraint": _add_constraint,
    "AT_ValidateConstraint": _validate,
    "AT_SetNotNull": _set_not_null,
    "AT_DropNotNull": _drop_not_null,
    "AT_AlterColumnType": _set_type,
    "AT_DropColumn": _drop_column,
    "AT_DropConstraint": _drop_constraint,
}
