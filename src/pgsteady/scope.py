"""What of a database is the project's business."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import MetaData, Table

from pgsteady.catalog import Catalog, Facts, Key
from pgsteady.project import Project

MODELLED = {"table", "column", "constraint", "index"}
"""What models describe completely: what they do not name is extra."""

UNSPOKEN = {
    "clustered", "compression", "grants", "owner", "partition of", "replica identity",
    "row security", "statistics", "storage", "tablespace", "toast options", "triggers",
}  # fmt: skip
"""Facts that models leave to the revisions, unless their own DDL states them."""

_FILTER_TYPES = {
    "PRIMARY KEY": "", "UNIQUE": "unique_constraint", "FOREIGN KEY": "foreign_key_constraint",
    "CHECK": "check_constraint", "EXCLUDE": "",
}  # fmt: skip


@dataclass(frozen=True)
class Scope:
    """What of the database whose default schema is ``default`` is the project's business."""

    project: Project
    default: str

    def of_live(self, live: Catalog, known: Iterable[str]) -> Catalog:
        """Return what ``live`` has in the schemas ``known``, and which others it has.

        What is in other schemas is other people's business. So are indexes that the
        application makes, and objects that env.py filters out.
        """
        schemas = {"", *known}
        everywhere = bool(self.project.options.get("include_schemas"))
        return {
            key: facts
            for key, facts in live.items()
            if (key.schema in schemas or everywhere or key.kind == "schema")
            and not self.of_the_application(key)
            and self.includes(key, facts)
        }

    def of_the_application(self, key: Key) -> bool:
        """Tell whether the running application makes and drops this index."""
        prefixes = self.project.foreign_index_prefixes
        return key.kind == "index" and bool(prefixes) and key.name.startswith(prefixes)

    def includes(self, key: Key, facts: Facts) -> bool:
        """Tell whether env.py's ``include_name`` and ``include_object`` let it pass."""
        return self._name_passes(key, facts) and self._object_passes(key)

    def as_modelled(self, live: Catalog, models: Catalog) -> Catalog:
        """Return the part of ``live`` that models could say something about."""
        tables = {
            (key.schema, key.name)
            for key, facts in live.items()
            if key.kind == "table" and "partition of" not in facts
        }
        return {
            key: {
                f: said
                for f, said in facts.items()
                if f not in UNSPOKEN or f in models.get(key, {})
            }
            for key, facts in live.items()
            if key in models
            or (key.kind in MODELLED and (key.schema, key.table or key.name) in tables)
        }

    @cached_property
    def schemas_of_models(self) -> set[str]:
        """The schemas that the models name, the default one as the empty name."""
        return {self._home(schema) for schema, _ in self._tables}

    def names_in_models(self, key: Key) -> bool:
        """Tell whether the models name this constraint or index themselves."""
        return (key.schema, key.table, key.name) in self._names

    @cached_property
    def _names(self) -> set[tuple[str, str, str]]:
        return {
            (self._home(schema), table.name, str(name))
            for (schema, _), table in self._tables.items()
            for name in [*(c.name for c in table.constraints), *(i.name for i in table.indexes)]
            if isinstance(name, str)
        }

    def _home(self, schema: str | None) -> str:
        return "" if schema in {None, self.default} else str(schema)

    @cached_property
    def _tables(self) -> dict[tuple[str | None, str], Table]:
        return {
            (table.schema, table.name): table
            for metadata in self.project.metadata
            for table in metadata.tables.values()
        }

    def _name_passes(self, key: Key, facts: Facts) -> bool:
        include_name = self.project.options.get("include_name")
        if include_name is None:
            return True
        schema = key.schema or None
        if key.kind == "schema":
            return bool(include_name(schema, "schema", {}))
        table = key.table or key.name
        parents = {
            "schema_name": schema,
            "table_name": table,
            "schema_qualified_table_name": f"{schema}.{table}" if schema else table,
        }
        if key.kind in {"table", *_IN_TABLES} and not include_name(table, "table", parents):
            return False
        type_ = _filter_type(key, facts)
        return not type_ or bool(include_name(key.name, type_, parents))

    def _object_passes(self, key: Key) -> bool:
        include_object = self.project.options.get("include_object")
        if include_object is None or key.kind not in {"table", *_IN_TABLES}:
            return True
        name, schema = key.table or key.name, key.schema or None
        modelled: Any = self._tables.get((schema, name))
        table = modelled if modelled is not None else Table(name, MetaData(), schema=schema)
        return bool(include_object(table, name, "table", modelled is None, None))


_IN_TABLES = {"column", "constraint", "index", "policy", "rule", "trigger"}


def _filter_type(key: Key, facts: Facts) -> str:
    """Return what Alembic's name filters call such an object, empty if they are not asked."""
    if key.kind in {"column", "index"}:
        return key.kind
    definition = facts.get("definition", "") if key.kind == "constraint" else ""
    return next((t for start, t in _FILTER_TYPES.items() if definition.startswith(start)), "")
