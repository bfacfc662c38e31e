"""Where a database stands in the project's history."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from pgsteady.project import Project, quiet


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
    with quiet():
        context = MigrationContext.configure(connection, opts=options)
    return tuple(sorted(context.get_current_heads()))


def read_status(project: Project, connection: Connection) -> Status:
    """Compare the database's version table with the project's revisions."""
    current = current_revisions(project, connection)
    scripts = list(project.script.walk_revisions())[::-1]  # each after those that it needs
    known = {script.revision for script in scripts}
    applied = ancestors(project, [revision for revision in current if revision in known])
    return Status(
        current=current,
        heads=tuple(sorted(project.script.get_heads())),
        pending=tuple(
            Revision(script.revision, script.doc)
            for script in scripts
            if script.revision not in applied
        ),
        unknown=tuple(revision for revision in current if revision not in known),
    )


def ancestors(project: Project, revisions: Iterable[str]) -> set[str]:
    """Return ``revisions`` and all that they need, branches and dependencies included."""
    by_id = {script.revision: script for script in project.script.walk_revisions()}
    found: set[str] = set()
    waiting = list(revisions)
    while waiting:
        revision = waiting.pop()
        if revision not in found:
            found.add(revision)
            waiting += by_id[revision]._all_down_revisions
    return found
