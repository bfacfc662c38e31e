"""The audit: what plain ``alembic`` leaves in it, and what shows that it was tampered with."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from alembic.util import CommandError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from pgsteady import audit, state
from pgsteady.audit import Record
from pgsteady.cli import audit as command
from pgsteady.connection import connect
from pgsteady.errors import StateUnavailable
from pgsteady.project import Project as Loaded
from pgsteady.url import parse
from toy import Project

Sql = Callable[..., list[tuple[object, ...]]]


@contextmanager
def connected(database: str) -> Iterator[Connection]:
    with connect(parse(database, "the test")) as connection:
        yield connection


def records(database: str) -> list[Record]:
    with connected(database) as connection:
        return audit.history(connection)


def told(database: str) -> list[tuple[str, list[str], list[str], str]]:
    """Return what each record tells, shortly."""
    return [(r.command, r.from_revisions, r.to_revisions, r.outcome) for r in records(database)]


def breach(database: str, *heads: str) -> audit.Breach | None:
    return audit.breach(records(database), heads)


@pytest.fixture
def two(project: Project, database: str) -> Project:
    """A project of two revisions, neither applied."""
    project.revision("001_a", 'op.execute("CREATE TABLE a (id int)")', 'op.drop_table("a")')
    project.revision(
        "002_b", 'op.execute("CREATE TABLE b (id int)")', 'op.drop_table("b")', down="001_a"
    )
    return project


def test_each_revision_leaves_a_record(two: Project, database: str) -> None:
    (two.folder / "pyproject.toml").write_text('[project]\nname = "toy"\nversion = "1.2"\n')
    two.run("upgrade", "head")
    two.run("downgrade", "-1")
    two.run("stamp", "head")
    assert told(database) == [
        ("upgrade", [], ["001_a"], "done"),
        ("upgrade", ["001_a"], ["002_b"], "done"),
        ("downgrade", ["002_b"], ["001_a"], "done"),
        ("stamp", ["001_a"], ["002_b"], "done"),
    ]
    first, second, undone, _ = records(database)
    assert (first.database_user, first.code, first.git_revision) == ("orion", "toy 1.2", None)
    file = (two.versions / "002_b.py").read_bytes()
    assert second.file_sha256 == undone.file_sha256 == hashlib.sha256(file).hexdigest()
    assert second.sql_sha256 != undone.sql_sha256
    assert undone.heads == ["001_a"]
    assert first.started_at < second.started_at < undone.started_at
    assert breach(database, "002_b") is None


def test_the_hash_of_the_sql_is_of_what_was_sent(
    project: Project, fresh_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def hash_of(data: str) -> str | None:
        project.revision("001_a", f'op.execute("CREATE TABLE a (word text)")\n    {data}')
        url = fresh_database()
        monkeypatch.setenv("DATABASE_URL", url)
        project.run("upgrade", "head")
        return records(url)[0].sql_sha256

    rows = 'op.bulk_insert(sa.table("a", sa.column("word")), [{"word": "%s"}, {"word": "é"}])'
    sent = [
        b"CREATE TABLE a (word text)",
        b"INSERT INTO alembic_version (version_num) VALUES ('001_a')"
        b" RETURNING alembic_version.version_num",
    ]
    assert hash_of("pass") == hashlib.sha256(b"".join(sql + b"\0" for sql in sent)).hexdigest()
    assert hash_of(rows) == hash_of(rows) != hash_of(rows.replace("é", "e"))


def test_reading_commands_make_nothing(two: Project, database: str, sql: Sql) -> None:
    two.run("current")
    two.run("upgrade", "head", sql=True)
    two.run("stamp", "base")
    assert sql("SELECT 1 FROM pg_namespace WHERE nspname = 'pgsteady'") == []
    assert records(database) == []


def test_a_failed_revision_leaves_its_record_alone(two: Project, database: str, sql: Sql) -> None:
    two.revision("003_c", 'op.execute("SELECT 1 / 0")', down="002_b")
    with pytest.raises(CommandError, match="division by zero"):
        two.run("upgrade", "head")
    assert told(database)[-1] == ("upgrade", ["002_b"], ["003_c"], "failed")
    last = records(database)[-1]
    assert (last.error, last.heads) == ("22012 division_by_zero", ["002_b"])
    assert breach(database, "002_b") is None


def test_the_first_revision_of_all_fails(project: Project, database: str, sql: Sql) -> None:
    project.revision("001_a", 'raise KeyError("a secret")')
    with pytest.raises(KeyError):
        project.run("upgrade", "head")
    (record,) = records(database)
    assert (record.outcome, record.error, record.heads) == ("failed", "KeyError", [])
    assert "secret" not in repr(sql("SELECT audit::text FROM pgsteady.audit"))


def test_a_broken_connection_is_recorded_through_another(project: Project, database: str) -> None:
    project.revision("001_a", 'op.execute("SELECT pg_terminate_backend(pg_backend_pid())")')
    with pytest.raises(CommandError):
        project.run("upgrade", "head")
    assert told(database) == [("upgrade", [], ["001_a"], "failed")]


def test_no_revision_is_applied_without_its_record(two: Project, database: str, sql: Sql) -> None:
    two.run("upgrade", "001_a")
    sql("ALTER TABLE pgsteady.audit ADD CHECK (number < 2)")
    with pytest.raises(CommandError, match="violates check"):
        two.run("upgrade", "head")
    assert two.run("current") == "001_a\n"
    assert sql("SELECT to_regclass('b')") == [(None,)]


@pytest.mark.parametrize("fails", [False, True])
def test_autocommit_blocks(project: Project, database: str, sql: Sql, fails: bool) -> None:
    project.revision(
        "001_a",
        'op.execute("CREATE TABLE a AS SELECT 1 AS id UNION ALL SELECT 1")\n'
        "    with op.get_context().autocommit_block():\n"
        f'        op.execute("CREATE {"UNIQUE" if fails else ""} INDEX CONCURRENTLY i ON a (id)")',
    )
    if fails:
        with pytest.raises(CommandError, match="could not create unique index"):
            project.run("upgrade", "head")
    else:
        project.run("upgrade", "head")
    outcome = "failed" if fails else "done"
    assert told(database) == [("upgrade", [], ["001_a"], outcome)]
    assert breach(database, *([] if fails else ["001_a"])) is None


def test_downgrade_to_base_keeps_it(two: Project, database: str) -> None:
    two.run("upgrade", "head")
    two.run("downgrade", "base")
    assert len(records(database)) == 4
    assert breach(database) is None


def test_racing_migrators_make_one_chain(two: Project, database: str) -> None:
    racers = [two.process("upgrade", "head") for _ in range(4)]
    for racer in racers:
        assert "Traceback" not in racer.communicate()[1]
    assert [racer.returncode for racer in racers] == [0] * 4
    assert [record.to_revisions for record in records(database)] == [["001_a"], ["002_b"]]
    assert breach(database, "002_b") is None


def test_a_change_without_pgsteady_is_noticed(two: Project, database: str, sql: Sql) -> None:
    sql(two.run("upgrade", "001_a", sql=True))
    assert records(database) == []
    two.run("upgrade", "head")
    assert told(database) == [
        ("outside", [], ["001_a"], "noticed"),
        ("upgrade", ["001_a"], ["002_b"], "done"),
    ]
    sql(two.run("downgrade", "002_b:001_a", sql=True))
    found = breach(database, "001_a")
    assert found is not None
    assert found.number == 3
    assert "record 2 left the database at 002_b, and it is at 001_a" in found.reason
    two.run("stamp", "head", purge=True)
    assert breach(database, "002_b") is None


def test_a_role_that_may_not_make_it_migrates_all_the_same(
    two: Project, database: str, sql: Sql, caplog: pytest.LogCaptureFixture
) -> None:
    (name,) = sql("SELECT current_database()")[0]
    sql(f'REVOKE CREATE ON DATABASE "{name}" FROM orion')
    sql(f'REVOKE CREATE ON DATABASE "{name}" FROM PUBLIC')
    two.run("upgrade", "head")
    assert two.run("current") == "002_b (head)\n"
    assert "No audit is kept" in caplog.text
    assert f"GRANT CREATE ON DATABASE {name} TO orion;" in caplog.text
    assert not records(database)
    two.revision("003_c", 'op.execute("SELECT 1 / 0")', down="002_b")
    with pytest.raises(CommandError, match="division by zero"):
        two.run("upgrade", "head")


def test_a_role_that_may_not_use_it(
    two: Project,
    database: str,
    external_server: Callable[[], Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    two.run("upgrade", "001_a")
    with external_server().cluster.session(database.rpartition("/")[2]) as administrator:
        administrator.execute("ALTER SCHEMA pgsteady OWNER TO postgres")
        administrator.execute("ALTER TABLE pgsteady.audit OWNER TO postgres")
        administrator.execute("ALTER TABLE pgsteady.state OWNER TO postgres")
        with pytest.raises(StateUnavailable, match="permission denied for table") as caught:
            records(database)
        two.run("upgrade", "head")
        assert "No audit is kept" in caplog.text
        administrator.execute(str(caught.value.hint).partition("database: ")[2])
    two.run("downgrade", "-1")
    assert [record.command for record in records(database)] == ["upgrade", "outside", "downgrade"]


def test_a_newer_state_is_left_alone(
    two: Project, database: str, sql: Sql, caplog: pytest.LogCaptureFixture
) -> None:
    two.run("upgrade", "001_a")
    sql("UPDATE pgsteady.state SET version = 1000")
    two.run("upgrade", "head")
    assert "made by a newer pgsteady" in caplog.text
    assert len(records(database)) == 1


def test_it_is_no_difference(two: Project, database: str, catalog: Callable[[], set[str]]) -> None:
    two.models(
        'Table("a", metadata, Column("id", sa.Integer))\n'
        'Table("b", metadata, Column("id", sa.Integer))\n'
        'Table("c", metadata, Column("id", sa.Integer), schema="elsewhere")\n'
    )
    two.revision(
        "003_c",
        'op.execute("CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.c (id int)")',
        down="002_b",
    )
    two.run("upgrade", "head")
    two.run("check")
    assert not any("audit" in line for line in catalog())


def test_the_commit_is_named(two: Project, database: str) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        command = ["git", "-C", str(two.folder), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    two.run("upgrade", "001_a")
    (two.versions / "002_b.py").open("a").write("\n")
    two.run("upgrade", "head")
    commit = git("rev-parse", "HEAD")
    assert [r.git_revision for r in records(database)] == [commit, f"{commit}-dirty"]


TAMPERING = {
    "UPDATE pgsteady.audit SET os_user = 'nobody' WHERE number = 2": 2,
    "UPDATE pgsteady.audit SET started_at = started_at + interval '1us' WHERE number = 3": 3,
    "UPDATE pgsteady.audit SET heads = '{}' WHERE number = 1": 1,
    "DELETE FROM pgsteady.audit WHERE number = 1": 1,
    "DELETE FROM pgsteady.audit WHERE number = 2": 2,
    "DELETE FROM pgsteady.audit WHERE number = 3": 3,
    "DELETE FROM pgsteady.audit WHERE number = 2;"
    "UPDATE pgsteady.audit SET number = 2 WHERE number = 3": 2,
    "UPDATE pgsteady.audit SET number = -number; UPDATE pgsteady.audit SET number = 4 + number": 1,
}


@pytest.mark.parametrize("tampering", TAMPERING)
def test_tampering_is_found(two: Project, database: str, sql: Sql, tampering: str) -> None:
    two.run("upgrade", "head")
    two.run("downgrade", "-1")
    assert breach(database, "001_a") is None
    sql(tampering)
    found = breach(database, "001_a")
    assert found is not None
    assert found.number == TAMPERING[tampering]


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.lists(TEXTS, max_size=3), TEXTS, st.integers(0, 2**53)), max_size=4))
def test_whatever_is_recorded_reads_back_as_its_hash_says(
    database: str, entries: list[tuple[list[str], str, int]]
) -> None:
    with connected(database) as connection:
        state.prepare(connection)
        for heads, name, milliseconds in entries:
            audit.append(
                connection,
                Record(
                    command="upgrade",
                    from_revisions=heads,
                    to_revisions=[name],
                    heads=heads,
                    outcome="done",
                    os_user=name,
                    host=name,
                    code=None,
                    git_revision=name,
                    duration_ms=milliseconds % 10**10,
                ),
            )
        kept = audit.history(connection)
        assert len(kept) == len(entries)
        assert audit.breach(kept, entries[-1][0] if entries else []) is None
        connection.rollback()


# The command


def test_command(two: Project, database: str, sql: Sql, capsys: pytest.CaptureFixture[str]) -> None:
    def audit_command(*, verify: bool = False, as_json: bool = False) -> tuple[int, str]:
        code = command.run(Loaded.load(two.ini), verify=verify, as_json=as_json)
        return code, capsys.readouterr().out

    assert audit_command() == (0, "Nothing is recorded: pgsteady never changed this database.\n")
    two.run("upgrade", "head")
    capsys.readouterr()
    code, table = audit_command()
    assert code == 0
    steps = [line.partition("  upgrade ")[2].partition("  ")[0] for line in table.splitlines()]
    assert steps == ["base -> 001_a", "", "001_a -> 002_b", ""]
    last = records(database)[-1]
    assert audit_command(verify=True) == (
        0,
        f"Records: 2, none changed. The last has hash {last.hash}.\n",
    )
    document = json.loads(audit_command(as_json=True)[1])
    assert document["records"][1]["sql_sha256"] == last.sql_sha256
    sql("UPDATE pgsteady.audit SET host = 'elsewhere' WHERE number = 1")
    code, said = audit_command(verify=True)
    assert (code, said.startswith("Record 1: its content is not")) == (1, True)
    assert json.loads(audit_command(verify=True, as_json=True)[1])["breach"]["number"] == 1
