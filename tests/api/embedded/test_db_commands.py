"""`nano-os db …` as typed, on the embedded database and on external servers."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg2
import pytest
from processes import query, serves, wait_for

from api import cli, embedded
from api.db import database_url
from api.settings import settings
from pgsteady.server import BUNDLED_MAJORS, bundled
from servers import NEWEST, PASSWORD, ROLE

NANO_OS = [sys.executable, "-c", "from api.cli import main; main()"]

FILL = """
CREATE TYPE kind AS ENUM ('metal', 'salt');
CREATE TABLE crystals (id int PRIMARY KEY, kind kind, embedding vector, note text);
COMMENT ON COLUMN crystals.note IS 'in Å';
INSERT INTO crystals SELECT g, 'salt', ARRAY[g, 1, 0]::vector,
    E'tab\\t, newline\\n, COMMENT ON EXTENSION vector' FROM generate_series(1, 50) g;
INSERT INTO crystals (id, note) VALUES (0, 'COMMENT ON EXTENSION vector IS ''mine'';');
CREATE TABLE lines (line text);
INSERT INTO lines VALUES ('COMMENT ON EXTENSION vector IS ''a row of data'';');
CREATE INDEX near ON crystals USING hnsw ((embedding::vector(3)) vector_l2_ops)
    WHERE kind = 'salt';
CREATE VIEW salts AS SELECT * FROM crystals WHERE kind = 'salt';
CREATE SCHEMA pgsteady;
CREATE TABLE pgsteady.audit (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz DEFAULT now());
INSERT INTO pgsteady.audit DEFAULT VALUES;
CREATE FUNCTION double(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2';
"""
CONTENT = """
SELECT (SELECT md5(string_agg(c::text, '|' ORDER BY id)) FROM crystals c),
       (SELECT string_agg(line, '|') FROM lines), (SELECT max(id) FROM pgsteady.audit), double(21),
       (SELECT count(*) FROM salts), pg_get_indexdef('near'::regclass),
       col_description('crystals'::regclass, 4)
"""


on_each_major = pytest.mark.parametrize("external", BUNDLED_MAJORS, indirect=True)


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Outcome]]:
    """Return a function that runs ``nano-os db …`` and tells how it ended."""

    def nano_os(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["nano-os", "db", *map(str, arguments)])
        database_url.cache_clear()
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        embedded.leave()
        written = capfd.readouterr()
        return Outcome(int(ended.value.code or 0), written.out, written.err)

    yield nano_os
    database_url.cache_clear()


@pytest.fixture
def embedded_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the home of an embedded database that the commands use."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setattr(settings(), "home", home)
    return home


@pytest.fixture
def external(
    request: pytest.FixtureRequest,
    fresh_database: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """Return the URL of an empty external database, which the commands use."""
    url = fresh_database(getattr(request, "param", NEWEST))
    monkeypatch.setenv("DATABASE_URL", url.replace("postgresql://", "postgresql+asyncpg://"))
    return url


def count(url: str) -> object:
    return query(url, "SELECT count(*) FROM crystals")[0][0]


def test_url_names_the_embedded_database_and_stays_good(
    run: Callable[..., Outcome], embedded_home: Path
) -> None:
    shown = run("url", "--psql")
    assert "the embedded database" in shown.err
    psql = [bundled().program("psql"), "--no-psqlrc", "-Atc", "SELECT 42", shown.out.strip()]
    assert subprocess.run(psql, capture_output=True, text=True, check=True).stdout == "42\n"
    assert query(run("url").out.strip(), "SELECT 42") == [(42,)]
    assert json.loads(run("url", "--json").out)["source"] == "the embedded database"
    assert run("stop").out == "Stopped.\n"
    assert run("stop").out == "It was not running.\n"
    assert not serves(embedded_home)


def test_url_names_the_environment(run: Callable[..., Outcome], external: str) -> None:
    shown = run("url", "--psql")
    assert shown.err == "From environment DATABASE_URL.\n"
    assert query(shown.out.strip(), "SELECT current_user::text") == [(ROLE,)]


@on_each_major
def test_sql_prints_rows_in_three_ways(run: Callable[..., Outcome], external: str) -> None:
    statement = "SELECT 1 AS a, NULL AS b, true AS c, 'x [bold]y' AS d, '[1,2]'::vector AS e"
    assert run("sql", "-t", statement).out == "1\t\tt\tx [bold]y\t[1,2]\n"
    assert json.loads(run("sql", "--json", statement).out) == [
        {"a": 1, "b": None, "c": True, "d": "x [bold]y", "e": "[1,2]"}
    ]
    table = run("sql", statement)
    assert "x [bold]y" in table.out
    assert table.err == "1 row\n"
    assert run("sql", "-t", "SELECT 1 WHERE false").out == ""


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM crystals",
        "WITH gone AS (DELETE FROM crystals RETURNING 1) SELECT count(*) FROM gone",
        "EXPLAIN ANALYZE DELETE FROM crystals",
        "SELECT 1; COMMIT; DELETE FROM crystals",
        "COMMIT; DELETE FROM crystals",
        "DO $$ BEGIN SET transaction_read_only = off; DELETE FROM crystals; END $$",
        "DO $$ BEGIN COMMIT; DELETE FROM crystals; END $$",
        "SELECT set_config('transaction_read_only', 'off', false), lo_create(4711)",
        "SET TRANSACTION READ WRITE",
        "SELECT nextval('pgsteady.audit_id_seq')",
        "DROP TABLE crystals",
        "SELECT 1 FROM crystals FOR UPDATE",
    ],
)
def test_sql_cannot_write(
    run: Callable[..., Outcome],
    fresh_database: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    statement: str,
) -> None:
    url = fresh_database()
    monkeypatch.setenv("DATABASE_URL", url)
    query(url, FILL)
    ended = run("sql", statement)
    assert ended.code in (1, 2)
    assert ended.err.startswith("Error: ")
    assert "Traceback" not in ended.err
    assert count(url) == 51
    assert query(url, "SELECT count(*) FROM pg_largeobject_metadata") == [(0,)]
    assert query(url, "SELECT last_value FROM pgsteady.audit_id_seq") == [(1,)]


def test_sql_says_that_it_only_reads(run: Callable[..., Outcome], external: str) -> None:
    refused = run("sql", "CREATE TABLE x ()")
    assert refused.code == 2
    assert "only reads" in refused.err
    assert "db shell" in refused.err


@pytest.mark.slow
@on_each_major
@pytest.mark.parametrize("suffix", [".sql", ".dump"])
def test_a_dump_loads_with_everything_in_it(
    run: Callable[..., Outcome],
    external: str,
    embedded_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
) -> None:
    monkeypatch.setenv("DATABASE_URL", external)
    query(external, FILL)
    before = query(external, CONTENT)
    file = tmp_path / f"all of it{suffix}"
    assert run("dump", file).code == 0
    assert [entry.name for entry in tmp_path.iterdir()] == [file.name]

    refused = run("load", file)
    assert refused.code == 1
    assert "crystals" in refused.err
    assert "--replace" in refused.err

    query(external, "DELETE FROM crystals; CREATE TABLE later (); CREATE SCHEMA other")
    assert run("load", "--replace", file).code == 0
    assert query(external, CONTENT) == before
    assert query(external, "SELECT to_regclass('later'), to_regnamespace('other')") == [
        (None, None)
    ]

    monkeypatch.delenv("DATABASE_URL")  # into another server, of the newest version
    loaded = run("load", file)
    assert loaded.code == 0, loaded.err
    assert query(embedded.join(embedded_home), CONTENT) == before


@on_each_major
def test_what_the_guides_pg_dump_wrote_loads(
    run: Callable[..., Outcome], external: str, tmp_path: Path
) -> None:
    query(external, FILL)
    before = query(external, CONTENT)
    file = tmp_path / "backup.sql"
    with psycopg2.connect(external) as connection:
        major = connection.server_version // 10_000
    connection.close()
    with file.open("wb") as written:
        subprocess.run([bundled(major).program("pg_dump"), external], stdout=written, check=True)
    assert b"COMMENT ON EXTENSION vector" in file.read_bytes()
    assert run("load", file, "--replace").code == 0
    assert query(external, CONTENT) == before


@pytest.mark.parametrize("suffix", [".sql", ".dump"])
def test_a_damaged_file_changes_nothing(
    run: Callable[..., Outcome], external: str, tmp_path: Path, suffix: str
) -> None:
    query(external, FILL)
    before = query(external, CONTENT)
    file = tmp_path / f"half{suffix}"
    run("dump", file)
    whole = file.read_bytes()
    for part in (0.5, 0.9):
        file.write_bytes(whole[: int(len(whole) * part)])
        ended = run("load", "--replace", file)
        assert ended.code == 1
        assert "half" in ended.err
        assert query(external, CONTENT) == before


def test_a_statement_that_fails_changes_nothing(
    run: Callable[..., Outcome], external: str, tmp_path: Path
) -> None:
    query(external, FILL)
    before = query(external, CONTENT)
    file = tmp_path / "bad.sql"
    file.write_text("CREATE TABLE fine ();\nSELECT 1/0;\nCREATE TABLE never ();\n")
    ended = run("load", "--replace", file)
    assert ended.code == 1
    assert "division by zero" in ended.err
    assert query(external, CONTENT) == before


@pytest.mark.slow
def test_killed_while_loading_changes_nothing(external: str, tmp_path: Path) -> None:
    query(external, FILL)
    before = query(external, CONTENT)
    file = tmp_path / "slow.sql"
    file.write_text("CREATE TABLE new_one ();\nSELECT pg_sleep(1);\n" + "SELECT 1;\n" * 200_000)
    loading = subprocess.Popen([*NANO_OS, "db", "load", "--replace", str(file)])
    sleeping = "SELECT pid FROM pg_stat_activity WHERE query ~ '^SELECT pg_sleep'"
    wait_for(lambda: query(external, sleeping))
    loading.kill()
    loading.wait()
    ours = "SELECT pid FROM pg_stat_activity WHERE application_name = 'psql'"
    wait_for(lambda: not query(external, ours))
    assert query(external, CONTENT) == before


def test_a_failed_dump_leaves_the_earlier_file(
    run: Callable[..., Outcome], external: str, tmp_path: Path
) -> None:
    file = tmp_path / "kept.sql"
    file.write_text("earlier")
    query(
        external,
        "CREATE FUNCTION boom() RETURNS int LANGUAGE sql AS 'SELECT 1/0';"
        "CREATE TABLE x (); ALTER TABLE x ENABLE ROW LEVEL SECURITY;"
        "ALTER TABLE x FORCE ROW LEVEL SECURITY",
    )
    ended = run("dump", file)
    assert ended.code == 1
    assert "row-level security" in ended.err
    assert file.read_text() == "earlier"
    assert [entry.name for entry in tmp_path.iterdir()] == [file.name]


def test_a_dump_needs_a_known_suffix(run: Callable[..., Outcome], tmp_path: Path) -> None:
    ended = run("dump", tmp_path / "backup.zip")
    assert ended.code == 1
    assert ".sql" in ended.err


@pytest.mark.slow
def test_shell_is_psql_on_the_database(external: str) -> None:
    shell = subprocess.run(
        [*NANO_OS, "db", "shell"],
        input="\\pset format unaligned\nSELECT current_user;\n\\q 3\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert ROLE in shell.stdout
    assert shell.returncode == 0


@pytest.mark.slow
def test_shell_serves_the_embedded_database_while_it_is_open(
    embedded_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NANO_OS_HOME", str(embedded_home))
    shell = subprocess.run(
        [*NANO_OS, "db", "shell"],
        input="SELECT 6 * 7;\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert "42" in shell.stdout
    assert not serves(embedded_home)


@pytest.mark.parametrize("command", [["sql", "SELECT 1"], ["dump", "never.sql"], ["shell"]])
@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("/test_", "/absent_", "no database"),
        ("p%25a", "wrong", "refused the user"),
        ("@127.0.0.1", "@127.0.0.2", "cannot be reached"),
    ],
    ids=["database", "password", "server"],
)
def test_a_database_that_is_not_there_is_one_clear_error(
    run: Callable[..., Outcome],
    external: str,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
    old: str,
    new: str,
    says: str,
) -> None:
    monkeypatch.setenv("DATABASE_URL", external.replace(old, new))
    ended = run(*command)
    assert ended.code == 3
    assert says in ended.err
    assert PASSWORD not in ended.err
    assert "Traceback" not in ended.err


def test_a_pipe_may_end_early(external: str) -> None:
    many = [*NANO_OS, "db", "sql", "-t", "SELECT generate_series(1, 50000)"]
    with subprocess.Popen(many, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as reading:
        assert isinstance(reading.stdout, io.BufferedReader)
        reading.stdout.readline()
        reading.stdout.close()
        assert reading.stderr is not None
        assert b"Traceback" not in reading.stderr.read()
