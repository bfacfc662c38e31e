"""Two schemas differ for ``check`` exactly when they differ for ``pg_dump -s``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg2
import pytest
from dump import schema_dump
from hypothesis import HealthCheck, given, note, reject, settings
from hypothesis import strategies as st

from pgsteady.catalog import Catalog, read
from pgsteady.compare import differences
from pgsteady.connection import connect
from pgsteady.server import BUNDLED_MAJORS
from pgsteady.url import parse

TYPES = {
    "integer": ["0", "7"],
    "bigint": ["0"],
    "text": ["'a'", "'it''s'"],
    "varchar(20)": ["'b'"],
    "numeric(8,2)": ["1.5"],
    "boolean": ["true", "false"],
    "timestamptz": ["now()"],
    "jsonb": ["'{}'"],
    "text[]": ["'{}'"],
    "mood": ["'calm'"],
    "vector(3)": [],
    "vector": [],
}
NAMES = ["a", "b", "Odd one", "order"]
TABLES = ["t", "u"]

choice = st.sampled_from


@st.composite
def columns(draw: st.DrawFn) -> dict[str, str]:
    """Draw columns: the name of each, and how CREATE TABLE describes it."""
    described = {}
    for name in draw(st.lists(choice(NAMES), unique=True, min_size=1)):
        type_ = draw(choice(sorted(TYPES)))
        words = [type_]
        if type_ == "text" and draw(st.booleans()):
            words.append('COLLATE "C"')
        if TYPES[type_] and draw(st.booleans()):
            words.append(f"DEFAULT {draw(choice(TYPES[type_]))}")
        if draw(st.booleans()):
            words.append("NOT NULL")
        described[name] = " ".join(words)
    return described


@st.composite
def extras(draw: st.DrawFn, table: str, names: list[str]) -> list[str]:
    """Draw what a table has besides columns."""
    column = f'"{draw(choice(names))}"'
    possible = [
        f"ALTER TABLE {table} ADD CONSTRAINT {table}_pk PRIMARY KEY (id)",
        f"ALTER TABLE {table} ADD CONSTRAINT {table}_once UNIQUE (id, {column})",
        f"ALTER TABLE {table} ADD CONSTRAINT {table}_some CHECK ({column} IS NOT NULL)",
        f"ALTER TABLE {table} ADD CONSTRAINT {table}_some CHECK (id > 0) NOT VALID",
        f"CREATE INDEX {table}_ix ON {table} (id)",
        f"CREATE UNIQUE INDEX {table}_ix ON {table} (id DESC) WHERE id > 5",
        f"CREATE INDEX {table}_ix ON {table} USING hash (id)",
        f"CREATE INDEX {table}_ix ON {table} (id) INCLUDE ({column}) WITH (fillfactor = 50)",
        f"CREATE INDEX {table}_ex ON {table} ((id + 1))",
        f"ALTER TABLE {table} SET (fillfactor = 70)",
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} ALTER id SET STATISTICS 50",
        f"ALTER TABLE {table} REPLICA IDENTITY FULL",
        f"CREATE POLICY p ON {table} FOR SELECT USING (id = 1)",
        f"COMMENT ON TABLE {table} IS 'it''s; a comment'",
        f"COMMENT ON COLUMN {table}.{column} IS 'x'",
        f"GRANT SELECT ON {table} TO PUBLIC",
        f"GRANT UPDATE (id) ON {table} TO PUBLIC",
        f"ALTER TABLE {table} SET UNLOGGED",
        f"CREATE TRIGGER g BEFORE UPDATE ON {table} FOR EACH ROW "
        "EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    ]
    chosen = draw(st.lists(choice(possible), unique=True, max_size=5))
    return list({_object(statement): statement for statement in chosen}.values())


def _object(statement: str) -> str:
    """Return what a statement makes, for two may not make the same."""
    for sign in ("ADD CONSTRAINT ", "INDEX "):
        if sign in statement:
            return statement.split(sign)[1].split(maxsplit=1)[0]
    return statement


@st.composite
def schemas(draw: st.DrawFn) -> list[str]:
    """Draw the statements that make a schema."""
    labels = draw(choice(["'calm', 'wild'", "'calm', 'sad', 'wild'"]))
    statements = [f"CREATE TYPE mood AS ENUM ({labels})"]
    for table in draw(st.lists(choice(TABLES), unique=True, min_size=1)):
        described = draw(columns())
        identity = draw(choice(["int", "bigint", "serial", "int GENERATED ALWAYS AS IDENTITY"]))
        listed = "".join(f', "{name}" {how}' for name, how in described.items())
        area = draw(choice(["", ", n int GENERATED ALWAYS AS (id * 2) STORED"]))
        if "serial" in identity or "IDENTITY" in identity:
            identity += " NOT NULL"
        statements.append(f"CREATE TABLE {table} (id {identity}{listed}{area})")
        statements += draw(extras(table, sorted(described)))
    if draw(st.booleans()):
        number = draw(choice(["1", "2"]))
        statements.append(f"CREATE VIEW v AS SELECT id + {number} AS one FROM {_last(statements)}")
    if draw(st.booleans()):
        body = draw(choice(["1", "2"]))
        statements.append(f"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT {body}'")
    if draw(st.booleans()):
        statements.append(f"CREATE SEQUENCE s INCREMENT {draw(choice(['1', '5']))}")
    return statements


def _last(statements: list[str]) -> str:
    tables = [s.split()[2] for s in statements if s.startswith("CREATE TABLE")]
    return tables[-1]


class Pair:
    """Two databases on one server, emptied for each example."""

    def __init__(self, server: Any, major: int) -> None:
        self.major = major
        self.urls = [server.url(server.create()) for _ in range(2)]

    def build(self, number: int, statements: list[str]) -> None:
        with (
            closing(psycopg2.connect(self.urls[number])) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(
                "DROP VIEW IF EXISTS v; DROP TABLE IF EXISTS t, u CASCADE; "
                "DROP TYPE IF EXISTS mood; DROP FUNCTION IF EXISTS f; DROP SEQUENCE IF EXISTS s"
            )
            for statement in statements:
                cursor.execute(statement)

    def catalog(self, number: int) -> Catalog:
        with connect(parse(self.urls[number], "the test")) as connection, connection.begin():
            return read(connection, {"public": ""})

    def dump(self, number: int) -> set[str]:
        return schema_dump(self.urls[number], self.major)


@pytest.fixture(scope="module")
def pair(external_server: Callable[[int], Any]) -> Callable[[int], Pair]:
    made: dict[int, Pair] = {}

    def databases(major: int) -> Pair:
        if major not in made:
            made[major] = Pair(external_server(major), major)
        return made[major]

    return databases


ANY = settings(deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)


def agrees_with_pg_dump(databases: Pair, one: list[str], other: list[str]) -> None:
    try:
        databases.build(0, one)
        databases.build(1, other)
    except psycopg2.Error:  # some of what is drawn makes no sense
        reject()
    found = differences(databases.catalog(0), databases.catalog(1))
    dumped = databases.dump(0) ^ databases.dump(1)
    note(f"{found=}\n{dumped=}")
    assert bool(found) == bool(dumped)


OTHERWISE = {
    " NOT NULL": "",
    ' COLLATE "C"': "",
    " DEFAULT": " NOT NULL DEFAULT",
    "bigint": "integer",
    "varchar(20)": "varchar(21)",
    "numeric(8,2)": "numeric(8,3)",
    "id * 2": "id * 3",
    "ALWAYS AS IDENTITY": "BY DEFAULT AS IDENTITY",
    "vector(3)": "vector(4)",
    "'wild'": "'mad'",
    "id > 5": "id > 6",
    "fillfactor = 50": "fillfactor = 51",
    "SELECT": "INSERT",
    "'x'": "'y'",
}
"""How one word of a schema may be another."""


@st.composite
def variations(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    """Draw a schema, and one that lacks a statement of it or says one otherwise."""
    schema = draw(schemas())
    place = draw(st.integers(0, len(schema) - 1))
    statement = schema[place]
    words = [word for word in OTHERWISE if word in statement]
    if words and not statement.startswith(("CREATE VIEW", "CREATE FUNCTION", "CREATE POLICY")):
        word = draw(choice(words))
        other = [statement.replace(word, OTHERWISE[word], 1)]
    else:
        other = [statement] if statement.startswith(("CREATE TABLE", "CREATE TYPE")) else []
    return schema, [*schema[:place], *other, *schema[place + 1 :]]


@pytest.mark.slow
@settings(ANY, max_examples=15)
@given(both=variations())
def test_one_statement_otherwise(
    pair: Callable[[int], Pair], both: tuple[list[str], list[str]]
) -> None:
    agrees_with_pg_dump(pair(BUNDLED_MAJORS[-1]), *both)


@pytest.mark.slow
@pytest.mark.parametrize("major", BUNDLED_MAJORS)
@settings(ANY, max_examples=100)
@given(both=variations())
def test_one_statement_otherwise_on_every_major(
    pair: Callable[[int], Pair], major: int, both: tuple[list[str], list[str]]
) -> None:
    agrees_with_pg_dump(pair(major), *both)
