"""Whatever statements destroy is foreseen: any of them, in any order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import psycopg2
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg2 import sql

from pgsteady.lint.sql import parse
from pgsteady.losses import losses

WHOLE = {"smallint", "integer", "bigint"}
"""Their values are the same with zeros after the point; with other digits they are not."""
Values = dict[tuple[int, int], tuple[str, dict[str, str]]]
"""By table and column: the type, and what each row, by its key, has there that is not NULL."""

FILLED = """
    CREATE SCHEMA s;
    CREATE TYPE colour AS ENUM ('red', 'blue');
    CREATE TABLE a (id int PRIMARY KEY, b text, c int, d colour, e numeric, f timestamp);
    INSERT INTO a SELECT n, 'row ' || n, n % 3, 'red', n / 8.0, '2026-11-22 12:34:56.789'
    FROM generate_series(1, 20) n;
    UPDATE a SET b = NULL, e = NULL WHERE id > 10;
    CREATE TABLE s.k (id int PRIMARY KEY, a int REFERENCES a ON DELETE CASCADE, d colour);
    INSERT INTO s.k VALUES (1, 1, 'red'), (2, NULL, NULL);
    CREATE TABLE empty (id int PRIMARY KEY, b text);
"""
TABLES = st.sampled_from(["a", "s.k", "empty", "z", "s.a", "k"])
COLUMNS = st.sampled_from(["b", "c", "d", "e", "f", "a", "y"])
VALUES = st.sampled_from(["NULL", "b || 'x'", "c", "upper(b)", "1", "c + 1", "d", "e", "now()"])
TYPES = st.sampled_from(
    ["text", "int", "bigint", "smallint", "numeric(9,1)", "real", "date", "varchar(3)", "colour"]
)
WHERE = st.sampled_from(
    ["", " WHERE id > 15", " WHERE b IS NULL", " WHERE c = 1", " WHERE id = 99", " WHERE y = 1"]
)
USING = st.sampled_from(["", " USING b::text", " USING c * 2", " USING NULL", " USING e::int"])
STATEMENTS = st.one_of(
    st.builds("DROP TABLE {}{}".format, TABLES, st.sampled_from(["", " CASCADE"])),
    st.builds("ALTER TABLE {} DROP COLUMN {}".format, TABLES, COLUMNS),
    st.builds("ALTER TABLE {} ADD COLUMN {} text".format, TABLES, COLUMNS),
    st.builds("ALTER TABLE {} ALTER {} TYPE {}".format, TABLES, COLUMNS, TYPES),
    st.builds("ALTER TABLE {} ALTER {} TYPE {}{}".format, TABLES, COLUMNS, TYPES, USING),
    st.builds("ALTER TABLE {} RENAME TO {}".format, TABLES, st.sampled_from(["z", "a", "k"])),
    st.builds("ALTER TABLE {} RENAME COLUMN {} TO {}".format, TABLES, COLUMNS, COLUMNS),
    st.builds("ALTER TABLE {} SET SCHEMA {}".format, TABLES, st.sampled_from(["s", "public"])),
    st.builds("DELETE FROM {}{}".format, TABLES, WHERE),
    st.builds("DELETE FROM {} x USING empty WHERE x.id > 3".format, TABLES),
    st.builds("UPDATE {} SET {} = {}{}".format, TABLES, COLUMNS, VALUES, WHERE),
    st.builds("TRUNCATE {}{}".format, TABLES, st.sampled_from(["", " CASCADE"])),
    st.builds("CREATE TABLE {} (id int, b text)".format, TABLES),
    st.builds(
        "INSERT INTO a (id) VALUES ({}) ON CONFLICT (id) DO UPDATE SET {} = NULL".format,
        st.integers(1, 30), COLUMNS,
    ),
    st.builds("WITH x AS (DELETE FROM {}{} RETURNING 1) SELECT * FROM x".format, TABLES, WHERE),
    st.sampled_from(
        [
            "DROP TYPE colour CASCADE",
            "DROP SCHEMA s CASCADE",
            "DROP OWNED BY orion",
            "DO $$ BEGIN DELETE FROM a; END $$",
            "MERGE INTO a USING s.k ON a.id = k.a WHEN MATCHED THEN UPDATE SET b = 'x'",
        ]
    ),
)  # fmt: skip


@pytest.fixture
def session(fresh_database: Callable[..., str]) -> Iterator[Any]:
    with closing(psycopg2.connect(fresh_database())) as connection:
        with connection, connection.cursor() as cursor:
            cursor.execute(FILLED)
        yield connection


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(statements=st.lists(STATEMENTS, min_size=1, max_size=3))
@example(["ALTER TABLE a RENAME COLUMN b TO y", "ALTER TABLE a DROP COLUMN y"])
@example(["ALTER TABLE a RENAME TO z", "ALTER TABLE empty RENAME TO a", "DROP TABLE z CASCADE"])
@example(["ALTER TABLE s.k SET SCHEMA public", "DROP TABLE k"])
@example(["ALTER TABLE a ALTER c TYPE numeric(9,1)"])
def test_what_is_destroyed_was_foreseen(session: Any, statements: list[str]) -> None:
    script = "; ".join(statements)
    with session.cursor() as cursor:
        cursor.execute("SELECT oid, relnatts FROM pg_class WHERE relkind = 'r' AND oid >= 16384")
        existing = dict(cursor.fetchall())
        before = values(cursor, {})
        foreseen = losses(session, parse(script), existing)
        with suppress(psycopg2.Error):
            cursor.execute(script)
            after = values(cursor, before)
            assert after == before or foreseen, script
        session.rollback()


def values(cursor: Any, like: Values) -> Values:
    """Return all values; with ``like``, those of its tables, columns and rows, in their types."""
    cursor.execute(
        "SELECT attrelid, attnum, nspname, relname, attname, atttypid::regtype::text "
        "FROM pg_attribute JOIN pg_class c ON c.oid = attrelid "
        "JOIN pg_namespace n ON n.oid = relnamespace "
        "WHERE relkind = 'r' AND c.oid >= 16384 AND attnum > 0 AND NOT attisdropped"
    )
    columns = {(table, number): rest for table, number, *rest in cursor.fetchall()}
    if not like:
        return {
            key: (type_, content(cursor, schema, table, column, type_))
            for key, (schema, table, column, type_) in columns.items()
        }
    found: Values = {}
    for key, (type_, rows) in like.items():
        now = content(cursor, *columns[key][:3], type_) if key in columns else {}
        found[key] = type_, {row: value for row, value in now.items() if row in rows}
    return found


def content(cursor: Any, schema: str, table: str, column: str, type_: str) -> dict[str, str]:
    """Return a column's values, as text, by the row's key; none if they cannot be ``type_``."""
    shown = "{0}::text::{1}::text" if type_ not in WHOLE else "trim_scale({0}::text::numeric)::text"
    query = sql.SQL(f"SELECT id::text, {shown} FROM {{2}} WHERE {{0}} IS NOT NULL")
    cursor.execute("SAVEPOINT look")
    try:
        cursor.execute(
            query.format(sql.Identifier(column), sql.SQL(type_), sql.Identifier(schema, table))
        )
        return dict(cursor.fetchall())
    except psycopg2.Error:
        cursor.execute("ROLLBACK TO look")
        return {}
