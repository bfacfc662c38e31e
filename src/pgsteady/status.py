"""Where a database stands in the project's history."""

from __future__ import annotations

from dataclasses import dataclass

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from pgsteady.project import Project


@dataclass(frozen=True)
class Revision:
    """A revision that the database does not have yet."""

    id: str
    title: str


@dataclass(frozen=True)
class Status:
    """Where a database stands.

    ``current`` is what its version table names, ``unknown`` what of that no file of
    the project is for; ``pending`` is in the order in which ``upgrade`` applies it.
    """

    current: tuple[str, ...]
    heads: tuple[str, ...]
    pending: tuple[Revision, ...]
    unknown: tuple[str, ...]

    @property
    def at_head(self) -> bool:
        """Whether the database has every revision of the project, and no other."""
        return not self.pending and not self.unknown


def current_revisions(project: Project, connection: Connection) -> tuple[str, ...]:
    """Return what the version table names; empty if it is empty or missing."""
    options = {
        "version_table": project.version_table,
        "version_table_schema": project.version_table_schema,
    }
    context = MigrationContext.configure(connection, opts=options)
    return tuple(sorted(context.get_current_heads()))


def read_status(project: Project, connection: Connection) -> Status:
    """Compare the database's version table with the project's revisions."""
    current = current_revisions(project, connection)
    # From base to heads, each after those that it needs.
    revisions = list(project.script.walk_revisions())[::-1]
    by_id = {script.revision: script for script in revisions}
    applied: set[str] = set()
    waiting = [revision for revision in current if revision in by_id]
    while waiting:
        revision = waiting.pop()
        if revision not in applied:
            applied.add(revision)
            waiting += by_id[revision]._all_down_revisions
    return Status(
        current=current,
        heads=tuple(sorted(project.script.get_heads())),
        pending=tuple(
            Revision(script.revision, script.doc)
            for script in revisions
            if script.revision not in applied
        ),
        unknown=tuple(revision for revision in current if revision not in by_id),
    )
