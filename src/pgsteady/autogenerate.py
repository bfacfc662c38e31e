"""What Alembic's autogenerate lacks, so that what it writes runs unedited up, down and up.

- It renders the types of other packages without importing them.
- It emits no CREATE EXTENSION for the types of pgvector.
- It lets ENUM types come and go with their first table, and leaves them behind on downgrade.
- It drops several tables in any order, whatever their foreign keys.
- It accepts ``func.lower("email")``, an index over a constant.
- It would drop what is not the models' business: tables of extensions, and indexes
  that the running application makes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, Literal, TypeGuard, cast

from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import Column, ColumnClause, Connection, MetaData, TextClause, inspect, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.base import PGDialect, PGInspector
from sqlalchemy.sql import visitors
from sqlalchemy.sql.ddl import ExecutableDDLElement
from sqlalchemy.types import Enum, TypeEngine

from pgsteady import comparator

_EXTENSION_TABLES = text(
    "SELECT nullif(n.nspname, current_schema()), c.relname "
    "FROM pg_depend d JOIN pg_class c ON c.oid = d.objid "
    "JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE d.classid = 'pg_class'::regclass AND d.deptype = 'e'"
)

PLUGINS = ("alembic.autogenerate.*", "alembic.ext.checkconstraint_byname", comparator.NAME)
CREATE_VECTOR = "CREATE EXTENSION IF NOT EXISTS vector"


class Autogenerate:
    """The hooks of one comparison between ``metadata`` and the database of ``connection``.

    Indexes whose names begin with one of ``foreign_index_prefixes`` are left alone.
    """

    def __init__(
        self,
        metadata: MetaData,
        connection: Connection,
        foreign_index_prefixes: tuple[str, ...] = (),
    ) -> None:
        self._metadata = metadata
        self._connection = connection
        self._foreign_index_prefixes = foreign_index_prefixes
        self._schemas = {None, *(table.schema for table in metadata.tables.values())}

    def options(self) -> dict[str, Any]:
        """Return the arguments of ``context.configure`` that install the hooks."""
        return {
            "autogenerate_plugins": PLUGINS,
            "compare_type": True,
            "include_schemas": len(self._schemas) > 1,
            "include_name": self.include_name,
            "render_item": self.render_item,
            "process_revision_directives": self.complete,
        }

    def include_name(self, name: str | None, kind: str, parents: dict[str, str | None]) -> bool:
        """Tell whether an object of the database is compared with the models at all."""
        if kind == "schema":
            return name in self._schemas
        if kind == "table":
            return (parents["schema_name"], name) not in self._extension_tables
        if kind == "index":
            return not (name or "").startswith(self._foreign_index_prefixes or ("\0",))
        return True

    def render_item(self, kind: str, item: Any, context: AutogenContext) -> str | Literal[False]:
        """Render ENUM types so that no table creates them; import other packages' types."""
        if kind != "type":
            return False
        if _is_native_enum(item):
            context.imports.add("from sqlalchemy.dialects import postgresql")
            labels = "".join(f"{label!r}, " for label in item.enums)
            schema = f"schema={item.schema!r}, " if item.schema else ""
            return f"postgresql.ENUM({labels}name={str(item.name)!r}, {schema}create_type=False)"
        module = type(item).__module__
        if not module.startswith("sqlalchemy."):
            context.imports.add(f"import {module}")
        return False

    def complete(
        self, _context: MigrationContext, _revision: Any, scripts: list[ops.MigrationScript]
    ) -> None:
        """Add to each new revision the types and extensions that its columns need."""
        self._refuse_constant_indexes()
        for script in scripts:
            up, down = script.upgrade_ops, script.downgrade_ops
            if up is None or down is None or up.is_empty():
                continue
            self._order_drops(up)
            up.reverse_into(down)
            self._add_enums(up, down)
            if self._first_vector(up):
                up.ops.insert(0, ops.ExecuteSQLOp(CREATE_VECTOR))

    @cached_property
    def _extension_tables(self) -> set[tuple[str | None, str]]:
        return {(schema, table) for schema, table in self._connection.execute(_EXTENSION_TABLES)}

    def _refuse_constant_indexes(self) -> None:
        for table in self._metadata.tables.values():
            for index in table.indexes:
                for expression in index.expressions:
                    if not _names_a_column(expression):
                        raise CommandError(
                            f'The index "{index.name}" of "{table.name}" is over a constant: '
                            'write func.lower(text("email")), not func.lower("email").'
                        )

    def _order_drops(self, up: ops.UpgradeOps) -> None:
        """Drop tables before those that their foreign keys refer to."""
        tables = _inspector(self._connection).sort_tables_on_foreign_key_dependency(self._schemas)
        place = {table or (None, ""): -number for number, (table, _) in enumerate(tables)}
        drops = {
            _table(operation) for operation in up.ops if isinstance(operation, ops.DropTableOp)
        }
        about_dropped = [operation for operation in up.ops if _table(operation) in drops]
        about_dropped.sort(key=lambda operation: place[_table(operation)])
        ordered = iter(about_dropped)
        up.ops = [next(ordered) if _table(op) in drops else op for op in up.ops]

    def _first_vector(self, up: ops.UpgradeOps) -> bool:
        """Tell whether ``up`` adds every pgvector column that the models have."""
        added = sum(_is_pgvector(column.type) for column in _added_columns(up))
        columns = (c for table in self._metadata.tables.values() for c in table.columns)
        return 0 < added == sum(_is_pgvector(column.type) for column in columns)

    def _add_enums(self, up: ops.UpgradeOps, down: ops.DowngradeOps) -> None:
        live = {
            (None if enum["visible"] else enum["schema"], enum["name"])
            for enum in _inspector(self._connection).get_enums(schema="*")
        }
        columns = (c for table in self._metadata.tables.values() for c in table.columns)
        modelled = _enums(column.type for column in columns)
        for key, enum in _enums(_given_types(up)).items():
            if key not in live:
                up.ops.insert(0, _ddl(postgresql.CreateEnumType(enum)))
                down.ops.append(_ddl(postgresql.DropEnumType(enum)))
        for key, enum in _enums(_given_types(down)).items():
            if key not in modelled:
                up.ops.append(_ddl(postgresql.DropEnumType(enum)))
                down.ops.insert(0, _ddl(postgresql.CreateEnumType(enum)))


def _names_a_column(expression: Any) -> bool:
    parts = visitors.iterate(expression)
    return any(isinstance(part, ColumnClause | TextClause) for part in parts)


def _inspector(connection: Connection) -> PGInspector:
    return cast("PGInspector", inspect(connection))


def _table(operation: Any) -> tuple[str | None, str]:
    return getattr(operation, "schema", None), getattr(operation, "table_name", "")


def _operations(container: ops.OpContainer) -> Iterator[ops.MigrateOperation]:
    for operation in container.ops:
        yield operation
        if isinstance(operation, ops.OpContainer):
            yield from _operations(operation)


def _added_columns(container: ops.OpContainer) -> Iterator[Column[Any]]:
    for operation in _operations(container):
        if isinstance(operation, ops.CreateTableOp):
            yield from (item for item in operation.columns if isinstance(item, Column))
        elif isinstance(operation, ops.AddColumnOp):
            yield operation.column


def _given_types(container: ops.OpContainer) -> Iterator[TypeEngine[Any]]:
    yield from (column.type for column in _added_columns(container))
    for operation in _operations(container):
        if isinstance(operation, ops.AlterColumnOp) and operation.modify_type is not None:
            yield operation.modify_type


def _enums(types: Iterable[TypeEngine[Any]]) -> dict[tuple[str | None, str], postgresql.ENUM]:
    found = {}
    for type_ in types:
        element = getattr(type_, "item_type", type_)  # the type within an ARRAY
        if _is_native_enum(element):
            key = (element.schema, str(element.name))
            found[key] = postgresql.ENUM(*element.enums, name=key[1], schema=key[0])
    return found


def _is_native_enum(type_: Any) -> TypeGuard[Enum]:
    return isinstance(type_, Enum) and type_.native_enum and type_.name is not None


def _is_pgvector(type_: TypeEngine[Any]) -> bool:
    element = getattr(type_, "item_type", type_)
    return type(element).__module__.split(".")[0] == "pgvector"


def _ddl(element: ExecutableDDLElement) -> ops.ExecuteSQLOp:
    dialect = PGDialect(paramstyle="named")  # type: ignore[no-untyped-call]
    return ops.ExecuteSQLOp(str(element.compile(dialect=dialect)))
