"""Digests of content that no order of rows, server or restored dump changes.

The digest of a column is the sum, over all rows, of a 64-bit hash of the value's text that
is seeded with the hash of the row's primary key: a value changed, lost, doubled, or swapped
with that of another row changes the sum, but for one case in 2⁶⁴. A sum, unlike a sum of
exclusive ors, counts equal rows. The hash is PostgreSQL's ``hashtextextended``, on which
hash partitioning depends too, so that a dump of one major version fits the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from pgsteady.verify.evidence import Column, Content

CANONICAL = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "xmloption": "content",
    "statement_timeout": "0",
    "jit": "off",  # compiling hundreds of expressions takes longer than it saves
    "row_security": "off",  # an error, rather than rows that are silently left out
}
"""Settings under which equal values have equal texts, and reading may take its time."""

QUALIFIED = {"search_path": ""}
"""Under which PostgreSQL writes every name with its schema."""

WITHOUT_INDEXES = {
    "enable_indexscan": "off",
    "enable_indexonlyscan": "off",
    "enable_bitmapscan": "off",
}
"""Under which a query reads the table itself."""

_SET = text("SELECT set_config(:setting, :value, true)")

_COLUMNS_AT_ONCE = 500
"""A query returns at most 1,664 columns; each of a table's takes two."""


@dataclass(frozen=True)
class Source:
    """What is digested: ``sql`` stands behind FROM, and has these columns.

    ``identity`` tells rows apart, by a key or else, not ``keyed``, by all that they hold.
    """

    sql: str
    columns: tuple[str, ...]
    identity: tuple[str, ...]
    keyed: bool


@contextmanager
def aside(connection: Connection) -> Iterator[None]:
    """Read in the block with settings of our own; nothing can be written, and nothing stays."""
    savepoint = connection.begin_nested()
    try:
        for setting, value in (CANONICAL | {"transaction_read_only": "on"}).items():
            connection.execute(_SET, {"setting": setting, "value": value})
        yield
    finally:
        savepoint.rollback()


@contextmanager
def settings(connection: Connection, values: Mapping[str, str]) -> Iterator[None]:
    """Change settings of the transaction; an error leaves them, to be undone with the rest."""
    read = text("SELECT current_setting(:setting)")
    before = {setting: connection.scalar(read, {"setting": setting}) for setting in values}
    for setting, value in values.items():
        connection.execute(_SET, {"setting": setting, "value": value})
    yield
    for setting, was in before.items():
        connection.execute(_SET, {"setting": setting, "value": was})


def said_by(error: DBAPIError) -> str:
    """Return the server's own words, without what they are about."""
    return str(error.orig).strip().splitlines()[0]


def query(connection: Connection, sql: str) -> list[Any]:
    """Return the rows of SQL in which ``%`` and ``:`` are nothing but themselves."""
    return list(connection.exec_driver_sql(sql, execution_options={"no_parameters": True}))


def literal(value: str) -> str:
    """Return a text in SQL."""
    return "'" + value.replace("'", "''") + "'"


def name(*parts: str) -> str:
    """Return a name in SQL."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def digest(connection: Connection, source: Source, one_in: int = 1) -> Content:
    """Return the content of ``source``, read once from beginning to end.

    Rows and NULLs are counted everywhere, values digested in one row of ``one_in``,
    chosen by the hash of its key, so that it is the same rows the next time.
    """
    named = sorted(source.columns)
    rows, identities = 0, ""
    columns: dict[str, Column] = {}
    for start in range(0, max(len(named), 1), _COLUMNS_AT_ONCE):
        chunk = named[start : start + _COLUMNS_AT_ONCE]
        [(rows, identities, *figures)] = query(connection, _select(source, chunk, one_in))
        columns |= {
            column: Column(str(hashes), filled)
            for column, hashes, filled in zip(chunk, figures[::2], figures[1::2], strict=True)
        }
    return Content(rows, str(identities), columns, source.identity, source.keyed, one_in)


def _select(source: Source, columns: Sequence[str], one_in: int) -> str:
    """Return SQL for number, digest of keys, and of each column its digest and number filled.

    OFFSET keeps the identity's hash from being computed for each column anew; as a number,
    rather than a text, it would keep parallel workers away too.
    """
    seed = "row_hash" if source.keyed else "0"
    row_hash = _hash(f"ROW({', '.join(map(name, source.identity))})::text", "0")
    sampled = f" FILTER (WHERE row_hash % {one_in} = 0)" if one_in > 1 else ""
    figures = ["count(*)", "coalesce(sum(row_hash), 0)"]
    for column in columns:
        hashed = _hash(f"{name(column)}::text", seed)
        figures.append(f"coalesce(sum(coalesce({hashed}, ~({seed}::bigint))){sampled}, 0)")
        figures.append(f"count({name(column)})")
    values = ", ".join(map(name, source.columns))
    return (
        f"SELECT {', '.join(figures)} FROM (SELECT {row_hash} AS row_hash"  # noqa: S608 - quoted
        f"{', ' if values else ''}{values} FROM {source.sql} OFFSET '0') AS content"
    )


def _hash(value: str, seed: str) -> str:
    return f'hashtextextended(({value}) COLLATE "C", {seed})'
