"""Revisions that were broken off outside of a transaction: found, and undone or finished."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from alembic.script import Script
from sqlalchemy.exc import DBAPIError

from pgsteady.catalog import Key
from pgsteady.connection import cause_of, connect
from pgsteady.errors import ClusterError, RepairFailed, ReplayFailed
from pgsteady.finding import Finding, Severity
from pgsteady.lint.reading import Run, read_direction
from pgsteady.live import read_live
from pgsteady.mend.names import qualified
from pgsteady.project import Project
from pgsteady.repair.finishing import finish, not_to_be_finished
from pgsteady.repair.indexes import build_to_the_end
from pgsteady.repair.report import Repair
from pgsteady.repair.sessions import at_work
from pgsteady.repair.stages import Attempt, attempt
from pgsteady.repair.undoing import Undone, obstacles, way_back
from pgsteady.replay import Surroundings
from pgsteady.status import Status, ancestors, read_status
from pgsteady.url import DatabaseUrl

DIRECTIONS = ("upgrade", "downgrade")
FINISH = "python -m pgsteady repair --finish"


@dataclass
class HalfDone:
    """What was found; ``indexes`` are dealt with here, named as SQL does."""

    found: list[Repair | Finding] = field(default_factory=list)
    indexes: set[str] = field(default_factory=set)


def half_done(project: Project, database: DatabaseUrl, *, finishing: bool) -> HalfDone:
    """Find the revisions that are half done; the migration lock is held."""
    with connect(database) as connection, connection.begin():
        status = read_status(project, connection)
        surroundings = Surroundings.of(connection)
    result = HalfDone()
    if status.unknown:
        return result
    for script, direction, run in _candidates(project, status):
        try:
            tried = attempt(project, status.current, surroundings, script, direction, run)
        except (ReplayFailed, ClusterError) as error:
            result.found.append(_not_known(script, error))
            continue
        _judge(project, database, tried, result, finishing=finishing)
    return result


def _candidates(project: Project, status: Status) -> Iterator[tuple[Script, str, Run]]:
    """Yield the steps that may have been begun: those next to the current revisions.

    Where all is one transaction, nothing can be half done.
    """
    applied = ancestors(project, status.current)
    for direction, ids in zip(
        DIRECTIONS, ([one.id for one in status.pending], status.current), strict=True
    ):
        for id_ in ids:
            script = project.script.get_revision(id_)
            ready = set(script._all_down_revisions) <= applied
            if ready and (direction == "upgrade" or len(status.current) == 1):
                run = read_direction(project, script, direction)
                if any(statement.transaction is None for statement in run.statements):
                    yield script, direction, run


def _judge(
    project: Project,
    database: DatabaseUrl,
    tried: Attempt,
    result: HalfDone,
    *,
    finishing: bool,
) -> None:
    with connect(database) as connection:
        with connection.begin():
            default = Surroundings.of(connection).default_schema
            live = read_live(project, connection, default)
        reached = tried.reached(live)
        unfinished = [qualified(key, key.name) for key in tried.unfinished_indexes(live)]
        if not reached:
            result.found.append(_unexplained(tried, _differing(tried, live)))
            result.indexes.update(unfinished)
        elif tried.is_whole(reached):
            result.found.append(_unnamed(tried))
        elif reached[0] > 0:
            result.indexes.update(unfinished)
            with connection.begin():
                lost = obstacles(tried, reached, connection)
            if finishing:
                result.found.append(_finishing(project, database, tried, reached, unfinished))
            else:
                result.found.append(_undoing(project, database, tried, reached, lost))


def _undoing(
    project: Project,
    database: DatabaseUrl,
    tried: Attempt,
    reached: Sequence[int],
    lost: Sequence[str],
) -> Repair | Finding:
    if lost:
        return _remains(tried, f"It cannot be undone: {'; '.join(lost)}.", f"Finish it: {FINISH}")
    steps = way_back(tried, reached[0])
    return Repair(
        f"revision {tried.script.revision}",
        _said(tried, reached),
        f"undo that, so that `alembic {tried.direction}` begins it anew",
        partial(_undo, project, database, tried, steps),
        tuple(f"{sql};" for step in steps for sql in step.statements),
    )


def _finishing(
    project: Project,
    database: DatabaseUrl,
    tried: Attempt,
    reached: Sequence[int],
    unfinished: Sequence[str],
) -> Repair | Finding:
    if why := not_to_be_finished(tried, reached):
        return _remains(tried, f"It cannot be finished: {why}.", "Undo it: leave out --finish.")
    rest = [one.text for part in tried.parts[reached[0] :] for one in part.statements]
    rebuilt = [f"REINDEX INDEX CONCURRENTLY {name}" for name in unfinished]
    return Repair(
        f"revision {tried.script.revision}",
        _said(tried, reached),
        "run the rest, and note that it is done",
        partial(_finish, project, database, tried, reached[0], unfinished),
        tuple(f"{sql};" for sql in (*rebuilt, *rest)),
    )


def _undo(project: Project, database: DatabaseUrl, tried: Attempt, steps: Sequence[Undone]) -> None:
    for step in steps:
        with at_work(database, in_transaction=step.in_transaction) as connection:
            for sql in step.statements:
                try:
                    connection.exec_driver_sql(sql)
                except DBAPIError as error:
                    raise RepairFailed(f"{sql}: {cause_of(error)}.") from error
    with connect(database) as connection, connection.begin():
        default = Surroundings.of(connection).default_schema
        reached = tried.reached(read_live(project, connection, default))
    if 0 not in reached:
        raise RepairFailed("What it left was undone, and yet the schema is not the one before it.")


def _finish(
    project: Project,
    database: DatabaseUrl,
    tried: Attempt,
    reached: int,
    unfinished: Sequence[str],
) -> None:
    build_to_the_end(database, unfinished)
    finish(project, database, tried, reached)


def _said(tried: Attempt, reached: Sequence[int]) -> str:
    ran = sum(len(part.statements) for part in tried.parts[: reached[0]])
    every = sum(len(part.statements) for part in tried.parts)
    word = "apply" if tried.direction == "upgrade" else "undo"
    return (
        f"An attempt to {word} it was broken off after {ran} of {every} statements, outside of a "
        "transaction; the version table does not name what it made."
    )


def _differing(tried: Attempt, live: dict[Key, dict[str, str]]) -> list[Key]:
    first = tried.catalogs[0]
    return [key for key in sorted(tried.touched) if (key in live) != (key in first)]


def _unexplained(tried: Attempt, differing: Sequence[Key]) -> Finding:
    what = ", ".join(map(str, differing[:5])) or "facts of what it changes"
    return _remains(
        tried,
        "The schema is neither that before it nor that after any of its statements: "
        f"{what} {'differ' if len(differing) != 1 else 'differs'}.",
        "See what differs from the revisions: python -m pgsteady check",
    )


def _unnamed(tried: Attempt) -> Finding:
    return _remains(
        tried,
        "The schema is that after all of its statements, though the version table does not say so.",
        "Ask `doctor`, which recognises the revision that a schema matches.",
    )


def _remains(tried: Attempt, message: str, cure: str) -> Finding:
    return Finding(
        severity=Severity.ERROR,
        code="half-done",
        object=f"revision {tried.script.revision}",
        message=message,
        cure=cure,
    )


def _not_known(script: Script, error: Exception) -> Finding:
    return Finding(
        severity=Severity.WARNING,
        code="not-known",
        object=f"revision {script.revision}",
        message=f"Whether it is half done cannot be told: {error}",
        cure="Compare with what it makes: python -m pgsteady check",
    )
