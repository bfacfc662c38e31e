"""Alembic's commands through ``pgsteady.env``: what users see, and what is promised."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import psycopg2
import pytest
from alembic.util import CommandError

from toy import Project

Sql = Callable[..., list[tuple[object, ...]]]

WIDE_ID = "002_" + "long_" * 12 + "id"


def test_offline_needs_no_server_and_no_fallback(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    project.models('def fallback(): raise AssertionError("called")')
    project.revision("001_first", 'op.execute("CREATE TABLE a (id int)")')
    project.revision(WIDE_ID, 'op.execute("CREATE TABLE b (id int)")', down="001_first")
    script = project.run("upgrade", "head", sql=True)
    assert script.count("BEGIN;") == script.count("COMMIT;") == 2
    assert script.count("SET LOCAL lock_timeout = '5s';") == 2
    assert "version_num VARCHAR(255)" in script


def test_the_fallback_serves_when_nothing_else_names_a_database(
    project: Project, database: str, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    project.models(f"def fallback(): return {database!r}")
    project.revision("001_first", 'op.execute("CREATE TABLE a (id int)")')
    project.run("upgrade", "head")
    assert sql("SELECT * FROM a") == []
    assert project.run("current") == "001_first (head)\n"


def test_each_revision_is_its_own_transaction(project: Project, database: str, sql: Sql) -> None:
    project.revision("001_first", 'op.execute("CREATE TABLE a (id int)")')
    project.revision(
        "002_second",
        'op.execute("CREATE TABLE b (id int)"); op.execute("SELECT 1 / 0")',
        down="001_first",
    )
    with pytest.raises(CommandError) as caught:
        project.run("upgrade", "head")
    message = str(caught.value)
    assert "002_second failed" in message
    assert "002_second.py, line 7" in message
    assert "division by zero" in message
    assert "sqlalche.me" not in message
    assert sql("SELECT version_num FROM alembic_version") == [("001_first",)]
    assert sql("SELECT to_regclass('a')::text, to_regclass('b')::text") == [("a", None)]


def test_a_connection_that_breaks_leaves_nothing_half_done(
    project: Project, database: str, sql: Sql
) -> None:
    project.revision(
        "001_first",
        'op.execute("CREATE TABLE a (id int)")\n'
        '    op.execute("SELECT pg_terminate_backend(pg_backend_pid())")',
    )
    with pytest.raises(CommandError, match="001_first failed") as caught:
        project.run("upgrade", "head")
    assert len(str(caught.value).splitlines()) == 2
    assert sql("SELECT to_regclass('a')") == [(None,)]
    assert project.run("current") == ""


def test_a_revision_may_hold_several_statements_in_one_execute(
    project: Project, database: str, sql: Sql
) -> None:
    project.revision("001_first", 'op.execute("CREATE TABLE a (id int); INSERT INTO a SELECT 1")')
    project.run("upgrade", "head")
    assert sql("SELECT id FROM a") == [(1,)]


def test_works_inside_a_running_event_loop(project: Project, database: str, sql: Sql) -> None:
    project.revision("001_first", 'op.execute("CREATE TABLE a (id int)")')

    async def main() -> None:
        project.run("upgrade", "head")

    asyncio.run(main())
    assert sql("SELECT version_num FROM alembic_version") == [("001_first",)]


def test_ids_longer_than_alembics_own_column(project: Project, database: str, sql: Sql) -> None:
    project.revision("001_first")
    project.revision(WIDE_ID, down="001_first")
    project.run("upgrade", "head")
    assert project.run("current") == f"{WIDE_ID} (head)\n"


def test_a_narrow_version_table_is_widened(project: Project, database: str, sql: Sql) -> None:
    sql("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
    sql("INSERT INTO alembic_version VALUES ('001_first')")
    project.revision("001_first")
    project.revision(WIDE_ID, down="001_first")
    project.run("upgrade", "head")
    assert project.run("current") == f"{WIDE_ID} (head)\n"


def test_stamp(project: Project, database: str, sql: Sql) -> None:
    project.revision("001_first", 'op.execute("CREATE TABLE a (id int)")')
    project.run("stamp", "head")
    assert project.run("current") == "001_first (head)\n"
    assert sql("SELECT to_regclass('a')") == [(None,)]


REPORT_TIMEOUT = """op.execute("INSERT INTO seen SELECT current_setting('lock_timeout')")"""


def test_lock_timeout_holds_in_transactions_and_not_in_autocommit_blocks(
    project: Project, database: str, sql: Sql
) -> None:
    sql("CREATE TABLE seen (value text)")
    name = database.rpartition("/")[2]
    sql(f"ALTER DATABASE {name} SET lock_timeout = '9s'")
    project.revision(
        "001_first",
        f"{REPORT_TIMEOUT}\n"
        f"    with op.get_context().autocommit_block():\n        {REPORT_TIMEOUT}\n"
        f"    {REPORT_TIMEOUT}",
    )
    project.run("upgrade", "head")
    assert [row[0] for row in sql("SELECT value FROM seen")] == ["5s", "0", "5s"]


def test_a_lock_that_is_not_to_be_had_ends_the_revision_with_the_reason(
    project: Project, database: str, sql: Sql
) -> None:
    sql("CREATE TABLE a (id int)")
    project.models("lock_timeout_s = 0.1")
    project.revision("001_first", 'op.execute("ALTER TABLE a ADD b int")')
    with psycopg2.connect(database) as other, other.cursor() as cursor:
        cursor.execute("SELECT * FROM a")
        with pytest.raises(CommandError, match=r"001_first failed.*another transaction"):
            project.run("upgrade", "head")
    other.close()
    project.run("upgrade", "head")
    assert project.run("current") == "001_first (head)\n"


@pytest.mark.parametrize("command", [("current",), ("upgrade", "head")])
@pytest.mark.parametrize(
    "wrong",
    [
        (
            ("127.0.0.1", "127.0.0.2"),
            r"PostgreSQL cannot be reached at 127\.0\.0\.2:\d+: Connection refused",
        ),
        (("orion:", "orion:x"), r'refused the user "orion": password authentication failed'),
        (("orion:", "nobody:"), r'refused the user "nobody"'),
        (("/test_", "/nothing_"), r'has no database "nothing_\d+".*CREATE DATABASE'),
    ],
)
def test_what_is_wrong_is_said_with_the_next_step(
    project: Project,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    wrong: tuple[tuple[str, str], str],
) -> None:
    change, said = wrong
    monkeypatch.setenv("DATABASE_URL", database.replace(*change))
    project.revision("001_first")
    with pytest.raises(CommandError, match=f"(?s){said}.*environment DATABASE_URL") as caught:
        project.run(*command)
    assert len(str(caught.value).splitlines()) == 2
    assert "p%a" not in str(caught.value)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE EXTENSION IF NOT EXISTS vector",
        "CREATE TABLE a (v vector(3))",
    ],
)
def test_a_missing_extension_names_the_line_for_the_administrator(
    project: Project,
    fresh_database: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    statement: str,
) -> None:
    monkeypatch.setenv("DATABASE_URL", fresh_database(name="bare_db", extension=False))
    project.revision("001_first", f'op.execute("{statement}")')
    with pytest.raises(CommandError) as caught:
        project.run("upgrade", "head")
    message = str(caught.value)
    assert 'The database has no extension "vector".' in message
    assert 'in database "bare_db": CREATE EXTENSION IF NOT EXISTS vector;' in message


def test_an_extension_that_is_not_installed(
    project: Project, external_server: Callable[[], object], database: str
) -> None:
    project.revision("001_first", 'op.execute("CREATE EXTENSION postgis")')
    with pytest.raises(CommandError, match='extension "postgis" is not installed on the server'):
        project.run("upgrade", "head")
