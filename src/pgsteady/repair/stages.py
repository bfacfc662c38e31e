"""The schemas through which a revision goes that is not one transaction.

What it sends is replayed, a part at a time, on a private server that stands at the revision
before; a live schema that is equal to one of these is half done up to there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from alembic.script import Script
from sqlalchemy.exc import DBAPIError

from pgsteady.catalog import Catalog, Facts, Key
from pgsteady.connection import connect
from pgsteady.lint.reading import Run
from pgsteady.lint.sql import Statement
from pgsteady.project import Project
from pgsteady.replay import Surroundings, catalog_of, replayed
from pgsteady.url import DatabaseUrl

_OF_THE_SERVER = {"valid", "owner", "grants", "tablespace"}
"""Facts in which a private server may differ, and whether an index was built to its end."""


@dataclass(frozen=True)
class Part:
    """Statements that take effect together: a transaction's, or one outside of any."""

    statements: tuple[Statement, ...]
    in_transaction: bool


@dataclass(frozen=True)
class Attempt:
    """One direction of a revision that may be half done.

    ``catalogs`` are what it makes: before it, and after each of its parts.
    """

    script: Script
    direction: str
    run: Run
    parts: Sequence[Part]
    catalogs: Sequence[Catalog]

    def __str__(self) -> str:
        return self.script.revision if self.direction == "upgrade" else f"{self.script.revision}^"

    @cached_property
    def touched(self) -> dict[Key, set[str]]:
        """Return the objects that it changes, and which facts of those that were there."""
        first = self.catalogs[0]
        found: dict[Key, set[str]] = {}
        for catalog in self.catalogs[1:]:
            for key in first.keys() | catalog.keys():
                facts = _changed(first.get(key), catalog.get(key))
                if facts is not None:
                    found.setdefault(key, set()).update(facts)
        return found

    def reached(self, live: Catalog) -> list[int]:
        """Return how many parts may have run; none fits a schema that it does not explain.

        Two fit where a part changes rows alone.
        """
        return [
            number
            for number, catalog in enumerate(self.catalogs)
            if all(
                _same(live.get(key), catalog.get(key), facts) for key, facts in self.touched.items()
            )
        ]

    def is_whole(self, reached: Sequence[int]) -> bool:
        """Tell whether all was done, with the last transaction, which moves the version too."""
        return reached[0] == len(self.parts) and self.parts[-1].in_transaction

    def unfinished_indexes(self, live: Catalog) -> list[Key]:
        """Return its indexes whose building was broken off."""
        return [key for key in self.touched if key.kind == "index" and "valid" in live.get(key, {})]


def parts_of(run: Run) -> list[Part]:
    """Return what of a run takes effect together."""
    numbered = enumerate(run.statements, 1)
    by_transaction = groupby(
        numbered, lambda one: -one[0] if one[1].transaction is None else one[1].transaction
    )
    return [
        Part(statements := tuple(s for _, s in group), statements[0].transaction is not None)
        for _, group in by_transaction
    ]


def attempt(
    project: Project,
    current: Sequence[str],
    surroundings: Surroundings,
    script: Script,
    direction: str,
    run: Run,
) -> Attempt:
    """Replay an attempt at a revision.

    Raises:
        ReplayFailed: the history does not run on an empty database here.
        ClusterError: no private server can be had.
    """
    parts = parts_of(run)
    with replayed(project, current, surroundings) as database:
        catalogs = [catalog_of(project, database, surroundings)]
        for _ in _ran(database, parts):
            catalogs.append(catalog_of(project, database, surroundings))
    return Attempt(script, direction, run, parts, catalogs)


def _ran(database: DatabaseUrl, parts: Sequence[Part]) -> Iterator[Part]:
    """Run the parts, as far as they run without rows."""
    for part in parts:
        with connect(database) as connection:
            if not part.in_transaction:
                connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.execution_options(no_parameters=True)
            try:
                with connection.begin():
                    for statement in part.statements:
                        connection.exec_driver_sql(statement.text)
            except DBAPIError:
                return
        yield part


def _changed(before: Facts | None, after: Facts | None) -> set[str] | None:
    """Return the facts that differ, all (an empty set) of what is made or dropped, else None."""
    if before is None or after is None:
        return None if before is after else set()
    differing = {
        fact for fact in before.keys() | after.keys() if before.get(fact) != after.get(fact)
    }
    return (differing - _OF_THE_SERVER) or None


def _same(live: Facts | None, expected: Facts | None, facts: set[str]) -> bool:
    if live is None or expected is None:
        return live is expected
    compared = facts or ((live.keys() | expected.keys()) - _OF_THE_SERVER)
    return all(live.get(fact) == expected.get(fact) for fact in compared)
