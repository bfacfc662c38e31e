"""A plugin that shows ``alembic check`` and ``--autogenerate`` what Alembic does not compare.

The parameters, operator classes and predicates of indexes, the text of checks, computed
expressions, collations, dropped primary keys and more: whatever :mod:`pgsteady.drift` finds
between the models and the database, and Alembic has no operation for.

``pgsteady.env`` installs it. Another ``env.py`` imports this module and gives
``context.configure`` the argument
``autogenerate_plugins=["alembic.autogenerate.*", "pgsteady.comparator"]``.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import renderers
from alembic.operations import ops
from alembic.runtime.plugins import Plugin
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy import Engine

from pgsteady.allowed import allowances, reason_for
from pgsteady.catalog import default_schema
from pgsteady.compare import Difference
from pgsteady.drift import MODELS, in_terms_of_models, model_differences
from pgsteady.errors import ModelsFailed
from pgsteady.judgement import SchemaFinding, judge
from pgsteady.live import read_live
from pgsteady.mend import mend, reverse
from pgsteady.project import Project
from pgsteady.scope import Scope
from pgsteady.scratch import built

log = logging.getLogger("alembic.pgsteady")

NAME = "pgsteady.comparator"

_BIND = re.compile(r"(?<![:\w\\]):(?=\w+(?!:))")
"""What SQLAlchemy's text() takes for a parameter, and ``op.execute`` with it."""
_ESCAPED = r"\\:"


@dataclass
class MendOp(ops.MigrateOperation):
    """Statements that make the database as the models say, and those that undo them."""

    finding: SchemaFinding
    difference: Difference
    statements: list[str]
    undo: list[str]

    @property
    def is_a_foundation(self) -> bool:
        """Whether indexes and foreign keys, which Alembic may add, build on it."""
        if self.difference.key.kind == "constraint":
            return self.difference.expected.startswith(("PRIMARY KEY", "UNIQUE"))
        return self.difference.key.kind != "index"

    def reverse(self) -> MendOp:
        """Return the operation that undoes this one."""
        return MendOp(self.finding, self.difference, self.undo, self.statements)

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """Return what ``alembic check`` prints."""
        return self.finding.code, self.finding.object, self.finding.message


@renderers.dispatch_for(MendOp)
def render(context: AutogenContext, operation: MendOp) -> list[str]:
    """Return the lines of the revision; what a person has to do is a comment."""
    prefix = context.opts.get("alembic_module_prefix") or ""
    lines = []
    for statement in operation.statements:
        if statement.startswith("-- "):
            lines += [f"# {statement.removeprefix('-- ')}", "pass"]
        else:
            lines.append(f"{prefix}execute({_BIND.sub(_ESCAPED, statement)!r})")
    return lines


def setup(plugin: Plugin) -> None:
    """Register the comparison; it runs after Alembic's own."""
    plugin.add_autogenerate_comparator(
        compare, "autogenerate", qualifier="postgresql", priority=DispatchPriority.LAST
    )


def compare(context: AutogenContext, upgrade_ops: ops.UpgradeOps) -> PriorityDispatchResult:
    """Add to ``upgrade_ops`` what Alembic has not seen."""
    environment = context.migration_context.environment_context
    if context.connection is None or environment is None:
        return PriorityDispatchResult.CONTINUE
    ini = Path(environment.config.config_file_name or "alembic.ini").absolute()
    options = context.migration_context.opts
    project = Project(ini, environment.config, environment.script, options)
    allowed = allowances(ini)
    try:
        found = list(_mends(project, context.connection.engine))
    except ModelsFailed as error:
        log.warning("Compared only as Alembic does: %s", error)
        return PriorityDispatchResult.CONTINUE
    seen = _Seen(upgrade_ops, str(context.inspector.default_schema_name))
    unseen = [o for o in found if not seen.covers(o.difference)]
    mends = [o for o in unseen if not reason_for(o.finding, allowed)]
    for operation in mends:
        log.info("Detected %s: %s", operation.finding.code, operation.finding.object)
    upgrade_ops.ops = [
        *(operation for operation in mends if operation.is_a_foundation),
        *upgrade_ops.ops,
        *(operation for operation in mends if not operation.is_a_foundation),
    ]
    return PriorityDispatchResult.CONTINUE


def _mends(project: Project, engine: Engine) -> Iterator[MendOp]:
    """Compare on a connection of our own, for what we do there is rolled back."""
    with engine.connect() as connection, connection.begin() as transaction:
        default = default_schema(connection)
        live = read_live(project, connection, default)
        if not any(key.kind == "table" for key in live):
            return  # Alembic makes everything, the extensions of its types included
        models = built(connection, project.metadata, default)
        transaction.rollback()
    scope = Scope(project, default)
    live, models = in_terms_of_models(scope, live, models)
    with engine.connect() as connection, connection.begin() as transaction:
        found = model_differences(connection, scope, live, models)
        transaction.rollback()
    for difference in found:
        yield MendOp(
            judge(difference, live, models, by=MODELS),
            difference,
            mend(difference, live, models),
            reverse(difference, live, models),
        )


class _Seen:
    """What Alembic has operations for, and :class:`pgsteady.autogenerate.Autogenerate`."""

    def __init__(self, container: ops.OpContainer, default: str) -> None:
        self._default = default
        self._objects: set[tuple[str, str, str]] = set()
        """Schema, table and name, the name of a table empty."""
        self._facts: set[tuple[str, str, str, str]] = set()
        self._walk(container)

    def covers(self, difference: Difference) -> bool:
        """Tell whether Alembic has an operation for it."""
        key = difference.key
        table = key.table or key.name
        if key.kind == "enum" and difference.change != "changed":
            return True
        if key.kind == "sequence" and difference.change == "missing":
            return True  # the column that owns it brings it
        places = {(key.schema, table, ""), (key.schema, table, key.name)}
        if key.kind in {"column", "constraint", "index", "table"} and places & self._objects:
            return True
        name = "" if key.kind == "table" else key.name
        return (key.schema, table, name, difference.fact) in self._facts

    def _walk(self, container: ops.OpContainer) -> None:
        for operation in container.ops:
            if isinstance(operation, ops.OpContainer):
                self._walk(operation)
            else:
                self._note(operation)

    def _note(self, operation: Any) -> None:
        schema = getattr(operation, "schema", None) or _source(operation, "schema")
        home = "" if schema in {None, self._default} else schema
        table = str(getattr(operation, "table_name", ""))
        match operation:
            case ops.CreateTableOp() | ops.DropTableOp():
                self._objects.add((home, table, ""))
            case ops.AddColumnOp():
                self._objects.add((home, table, operation.column.name))
            case ops.DropColumnOp():
                self._objects.add((home, table, operation.column_name))
            case ops.CreateIndexOp() | ops.DropIndexOp():
                self._objects.add((home, table, str(operation.index_name)))
            case ops.AddConstraintOp() | ops.DropConstraintOp():
                self._note_constraint(home, operation)
            case ops.CreateTableCommentOp() | ops.DropTableCommentOp():
                self._facts.add((home, table, "", "comment"))
            case ops.AlterColumnOp():
                place = (home, table, operation.column_name)
                self._facts |= {(*place, fact) for fact in _altered(operation)}

    def _note_constraint(self, home: str, operation: Any) -> None:
        table = getattr(operation, "table_name", None) or _source(operation, "table")
        self._objects.add((home, str(table), str(operation.constraint_name)))


def _source(operation: Any, what: str) -> Any:
    """Return the table of a foreign key, or its schema, which have names of their own."""
    if not isinstance(operation, ops.CreateForeignKeyOp):
        return None
    return operation.source_table if what == "table" else operation.kw.get("source_schema")


def _altered(operation: ops.AlterColumnOp) -> Iterator[str]:
    if operation.modify_type is not None:
        yield from ("type", "collation")
    if operation.modify_nullable is not None:
        yield "null"
    if operation.modify_server_default is not False:
        yield from ("default", "generated", "identity")
    if operation.modify_comment is not False:
        yield "comment"


Plugin.setup_plugin_from_module(sys.modules[__name__], NAME)
