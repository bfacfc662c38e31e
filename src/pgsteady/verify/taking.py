"""Takes evidence of a database's content: one sequential pass over each table."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from pgsteady.declarations import Change, declared
from pgsteady.progress import SILENT, Progress
from pgsteady.project import Project
from pgsteady.status import ancestors, current_revisions
from pgsteady.verify.digest import (
    QUALIFIED,
    WITHOUT_INDEXES,
    Source,
    aside,
    digest,
    said_by,
    settings,
)
from pgsteady.verify.evidence import LARGE_OBJECTS, Content, Evidence
from pgsteady.verify.expectation import expected
from pgsteady.verify.plans import plans
from pgsteady.verify.relations import (
    MATERIALIZED_VIEW,
    OBJECTS_SQL,
    Relation,
    enums,
    relations,
    sequences,
    version_table,
)
from pgsteady.verify.sampling import Sample


def take(
    connection: Connection,
    project: Project,
    *,
    changes: Iterable[Change] | None = None,
    sample: Sample | None = None,
    like: Evidence | None = None,
    progress: Progress = SILENT,
) -> Evidence:
    """Return evidence of what the database holds, in the snapshot of the caller's transaction.

    ``changes`` are what pending revisions declare (:func:`pgsteady.declarations.declared`);
    what they have to make of the present rows is part of the evidence. With ``like``, rows
    are told apart and sampled as in that earlier evidence, so that the two can be compared
    although a primary key was changed.

    Nothing is written, and no setting of the transaction stays changed. What may not be
    read is said in the evidence.

    Raises:
        WrongDeclaration: a declared change cannot be evaluated.
    """
    with aside(connection):
        # No snapshot holds sequences: they are read first, so that they only go on afterwards.
        counters, not_read = sequences(connection)
        revisions = current_revisions(project, connection)
        known = {script.revision for script in project.script.walk_revisions()}
        found = relations(connection, version_table(connection, project))
        taking = _Taking(connection, sample, like)
        total = sum(relation.bytes for relation in found) or 1
        with (
            settings(connection, QUALIFIED | WITHOUT_INDEXES),
            progress.step("Reading the tables", total) as advance,
        ):
            done = 0
            for relation in found:
                taking.read(relation)
                done += relation.bytes
                advance(done)
            objects = taking.large_objects()
        one_in = {table: content.one_in for table, content in taking.tables.items()}
        readable = [r for r in found if str(r) in taking.tables | taking.views]
        hot_queries = declared(project, ()).hot_queries
        with progress.step("Computing what declared changes have to make"):
            expectations = expected(connection, readable, changes or (), one_in)
        return Evidence(
            revisions=revisions,
            applied=tuple(sorted(ancestors(project, [r for r in revisions if r in known]))),
            tables=taking.tables,
            views=taking.views,
            expected=expectations,
            sequences=counters,
            enums=enums(connection),
            large_objects=objects,
            plans=dict(plans(connection, hot_queries)),
            not_read=not_read | taking.not_read,
        )


class _Taking:
    """Reads relations, and notes those that cannot be read."""

    def __init__(
        self, connection: Connection, sample: Sample | None, like: Evidence | None
    ) -> None:
        self._connection = connection
        self._sample = sample
        self._like = like
        self.tables: dict[str, Content] = {}
        self.views: dict[str, Content] = {}
        self.not_read: dict[str, str] = {}

    def read(self, relation: Relation) -> None:
        is_view = relation.kind == MATERIALIZED_VIEW
        if not relation.populated:
            return
        earlier = self._like.tables.get(str(relation)) if self._like else None
        source = _source(relation, earlier)
        one_in = 1
        if earlier:
            one_in = earlier.one_in
        elif self._sample:
            one_in = self._sample.of(relation.bytes, keyed=source.keyed)
        content = self._try(
            f"{'view' if is_view else 'table'} {relation}",
            lambda: digest(self._connection, source, one_in if source.keyed else 1),
        )
        if content:
            (self.views if is_view else self.tables)[str(relation)] = content

    def large_objects(self) -> Content:
        """Digest them; where the role may not read their content, their ids."""
        whole = Source(OBJECTS_SQL, ("content",), ("id",), keyed=True)
        ids = Source(OBJECTS_SQL, (), ("id",), keyed=True)
        content = self._try(LARGE_OBJECTS, lambda: digest(self._connection, whole))
        return content or digest(self._connection, ids)

    def _try(self, what: str, read: Callable[[], Content]) -> Content | None:
        """Return what ``read`` returns; the transaction goes on if it fails."""
        try:
            with self._connection.begin_nested():
                return read()
        except DBAPIError as error:
            self.not_read[what] = said_by(error)
            return None


def _source(relation: Relation, earlier: Content | None) -> Source:
    """Say what to digest, with rows told apart as they were earlier if that is still possible."""
    columns, keyed = relation.columns, bool(relation.key)
    identity = relation.key or tuple(sorted(columns))
    if earlier and set(earlier.identity) <= set(columns):
        identity, keyed = earlier.identity, earlier.keyed
    return Source(relation.sql, columns, identity, keyed)
