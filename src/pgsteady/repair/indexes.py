"""INVALID indexes: each costs every write and serves no query."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy.exc import DBAPIError

from pgsteady.connection import cause_of, connect
from pgsteady.doctor.schema import INVALID
from pgsteady.errors import RepairFailed
from pgsteady.finding import Finding, Severity
from pgsteady.repair.report import Repair
from pgsteady.repair.sessions import at_work
from pgsteady.url import DatabaseUrl


def invalid(database: DatabaseUrl, spared: Collection[str]) -> Iterator[Repair | Finding]:
    """Yield the INVALID indexes, but for those ``spared``, named as SQL does."""
    with connect(database) as connection, connection.begin():
        found = [index for index in connection.execute(INVALID) if index.name not in spared]
    for index in found:
        if index.partitioned:
            yield _left(index, "Make it on each partition, and attach those.")
        elif not index.ours:
            yield _left(index, "Its owner, or an administrator, runs:")
        elif index.left_over:
            yield _repair(index, "drop it", partial(_drop, database, index.name), _drop_sql(index))
        else:
            rebuild = partial(_rebuild, database, index)
            yield _repair(index, "build it anew, while others work", rebuild, _rebuild_sql(index))


def build_to_the_end(database: DatabaseUrl, names: Collection[str]) -> None:
    """Rebuild those of the indexes that are INVALID.

    Raises:
        RepairFailed: one cannot be built, as if rows share the key of a unique one.
    """
    with connect(database) as connection, connection.begin():
        found = [index for index in connection.execute(INVALID) if index.name in names]
    for index in found:
        _rebuild(database, index)


def _rebuild(database: DatabaseUrl, index: Row[Any]) -> None:
    with at_work(database) as connection:
        try:
            connection.exec_driver_sql(_rebuild_sql(index))
        except DBAPIError as error:
            _drop_what_it_left(connection, index)
            duplicates = " Remove the rows that are there twice." if index.is_unique else ""
            raise RepairFailed(
                f"It could not be built: {cause_of(error)}.",
                hint=f"Mend that, and run it again.{duplicates}",
            ) from error


def _drop_what_it_left(connection: Connection, index: Row[Any]) -> None:
    if connection.closed or connection.invalidated:
        return
    for left in connection.execute(INVALID).all():
        if left.left_over and left.of_table == index.of_table and left.name != index.name:
            connection.exec_driver_sql(_drop_sql(left))


def _drop(database: DatabaseUrl, name: str) -> None:
    with at_work(database) as connection:
        connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")


def _rebuild_sql(index: Row[Any]) -> str:
    return f"REINDEX INDEX CONCURRENTLY {index.name}"


def _drop_sql(index: Row[Any]) -> str:
    return f"DROP INDEX CONCURRENTLY {index.name}"


def _repair(index: Row[Any], action: str, do: Any, sql: str) -> Repair:
    why = (
        "REINDEX CONCURRENTLY left it behind."
        if index.left_over
        else "It is INVALID: building it was broken off."
    )
    return Repair(f"index {index.name} of {index.of_table}", why, action, do, (f"{sql};",))


def _left(index: Row[Any], cure: str) -> Finding:
    return Finding(
        severity=Severity.ERROR,
        code="index-invalid",
        object=f"index {index.name} of {index.of_table}",
        message="It is INVALID: building it was broken off.",
        cure=cure,
        sql=f"ALTER INDEX {index.name} ATTACH PARTITION …;"
        if index.partitioned
        else f"{_drop_sql(index) if index.left_over else _rebuild_sql(index)};",
    )
