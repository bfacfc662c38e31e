"""A revision that failed outside of a transaction is undone or finished by one command."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.util import CommandError
from foreign_project import ForeignProject
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgsteady.project import Project as Read
from pgsteady.repair import repair as repair_project
from toy import Project

Repair = Callable[..., Any]
Sql = Callable[..., list[tuple[object, ...]]]
Names = Callable[[], list[object]]

COLUMNS = (
    "SELECT attname::text FROM pg_attribute WHERE attrelid = 'a'::regclass "
    "AND attnum > 0 AND NOT attisdropped"
)


def autocommit(*statements: str) -> str:
    lines = "\n".join(f"        op.execute({statement!r})" for statement in statements)
    return f"with op.get_context().autocommit_block():\n{lines}"


def test_it_is_undone(
    half_done: Project, typed: Callable[..., str], sql: Sql, invalid: Names
) -> None:
    dry = json.loads(typed("--dry-run", "--json", exits=1))
    assert "DROP INDEX CONCURRENTLY IF EXISTS ix_a_b;" in dry["repairs"][0]["sql"]
    assert invalid() == ["ix_a_b"]
    said = typed()
    assert "revision 002_index: An attempt to apply it was broken off after 2 of 3" in said
    assert "Repaired: 1. Nothing remains.\n" in said
    assert sql(COLUMNS) == [("id",), ("b",)]
    assert typed() == "Nothing is to be repaired.\n"
    sql("DELETE FROM a WHERE id % 2 = 0")
    half_done.run("upgrade", "head")
    assert half_done.run("current") == "002_index (head)\n"


def test_it_is_finished_once_nothing_is_in_the_way(
    half_done: Project, repair: Repair, sql: Sql, invalid: Names
) -> None:
    (left,) = repair(finish=True, exits=1)["remaining"]
    assert "could not create unique index" in left["message"]
    assert "there twice" in left["cure"]
    assert invalid() == ["ix_a_b"]  # and nothing of the attempt to rebuild it
    sql("DELETE FROM a WHERE id % 2 = 0")
    repair(finish=True)
    assert half_done.run("current") == "002_index (head)\n"
    assert invalid() == []
    assert sql("SELECT to_regclass('ix_a_c')::text") == [("ix_a_c",)]
    last = "SELECT command, to_revisions, outcome FROM pgsteady.audit ORDER BY number DESC LIMIT 1"
    assert sql(last) == [("upgrade", ["002_index"], "done")]
    assert half_done.run("upgrade", "head") == ""


def test_what_others_put_in_since_is_not_dropped(
    half_done: Project, repair: Repair, sql: Sql
) -> None:
    sql("UPDATE a SET c = 7 WHERE id = 1")
    (left,) = repair(exits=1)["remaining"]
    assert "column a.c has values that it did not put in" in left["message"]
    assert "repair --finish" in left["cure"]
    assert sql("SELECT count(c) FROM a") == [(1,)]
    sql("DELETE FROM a WHERE id % 2 = 0")
    repair(finish=True)
    assert sql("SELECT c FROM a WHERE id = 1") == [(7,)]


@pytest.mark.parametrize(
    ("statements", "why"),
    [
        (["CREATE TABLE z (id int)", "SELECT 1 / 0"], "table z has rows"),
        (["UPDATE a SET b = -b", "ALTER TABLE a ADD z int", "SELECT 1 / 0"], "changed rows of a"),
        (["ALTER TABLE a DROP b", "SELECT 1 / 0"], "it dropped column a.b"),
        (["ALTER TABLE a ALTER b TYPE bigint", "SELECT 1 / 0"], "it changed the type of column"),
    ],
)
def test_what_cannot_be_undone_is_said(
    project: Project, database: str, sql: Sql, repair: Repair, statements: list[str], why: str
) -> None:
    project.revision("001_a", "op.execute('CREATE TABLE a (id int PRIMARY KEY, b int)')")
    project.run("upgrade", "head")
    project.revision("002_b", autocommit(*statements), down="001_a")
    with pytest.raises(CommandError):
        project.run("upgrade", "head")
    sql("INSERT INTO z VALUES (1)" if "table z" in why else "SELECT 1")
    (left,) = repair(exits=1)["remaining"]
    assert why in left["message"]


def test_what_is_no_part_of_it_is_not_touched(half_done: Project, repair: Repair, sql: Sql) -> None:
    sql("CREATE TABLE by_hand (id int); ALTER TABLE a ADD by_hand int; ALTER TABLE a DROP c")
    (left,) = repair(exits=1)["remaining"]
    assert "neither that before it nor that after" in left["message"]
    assert sql("SELECT to_regclass('by_hand')::text") == [("by_hand",)]
    sql("ALTER TABLE a ADD c int")
    repair()
    assert sql(COLUMNS) == [("id",), ("b",), ("by_hand",)]


def test_a_whole_revision_that_only_the_version_lacks_is_left_alone(
    project: Project, database: str, sql: Sql, repair: Repair
) -> None:
    project.revision("001_a", autocommit("CREATE TABLE a (id int)") + "\n    " + LAST)
    project.run("upgrade", "head")
    sql("DELETE FROM alembic_version")
    (left,) = repair(exits=1)["remaining"]
    assert "the version table does not say so" in left["message"]
    assert sql("SELECT to_regclass('b')::text") == [("b",)]


LAST = "op.execute('CREATE TABLE b (id int)')"


def test_a_downgrade_too(
    project: Project, database: str, sql: Sql, repair: Repair, invalid: Names
) -> None:
    project.revision("001_a", "op.execute('CREATE TABLE a (id int, b int)')")
    undo = autocommit("DROP INDEX CONCURRENTLY ix_b", "DROP INDEX CONCURRENTLY ix_none")
    make = autocommit("CREATE INDEX CONCURRENTLY ix_b ON a (b)")
    project.revision("002_b", make, undo, down="001_a")
    project.run("upgrade", "head")
    with pytest.raises(CommandError):
        project.run("downgrade", "-1")
    assert sql("SELECT to_regclass('ix_b')") == [(None,)]
    repair()
    assert sql("SELECT to_regclass('ix_b')::text") == [("ix_b",)]
    assert invalid() == []
    assert project.run("current") == "002_b (head)\n"


def test_the_first_revision_of_all(
    project: Project, database: str, sql: Sql, repair: Repair
) -> None:
    failing = autocommit("CREATE TABLE a (id int)", "SELECT 1 / 0")
    project.revision("001_a", failing)
    with pytest.raises(CommandError):
        project.run("upgrade", "head")
    repair()
    assert sql("SELECT to_regclass('a')") == [(None,)]


@pytest.mark.parametrize(
    ("name", "major"),
    [
        pytest.param("shop", 16, marks=pytest.mark.slow),
        ("shop", 18),
        pytest.param("lab", 18, marks=pytest.mark.slow),
    ],
)
def test_of_other_peoples_projects(
    name: str, major: int, fresh_database: Callable[..., str], tmp_path: Path
) -> None:
    project = ForeignProject(name, tmp_path / name, fresh_database(major))
    project.run("alembic", "upgrade", "head")
    head = project.run("alembic", "heads").split()[0]
    broken = autocommit("CREATE TABLE zz (id int)", "SELECT 1 / 0")
    (project.folder / "migrations" / "versions" / "zz.py").write_text(
        f"from alembic import op\nrevision = 'zz'\ndown_revision = {head!r}\n"
        f"def upgrade():\n    {broken}\n"
    )
    project.run("alembic", "upgrade", "head", exits=1)
    report = json.loads(project.run("pgsteady", "repair", "--json"))
    assert [one["object"] for one in report["repairs"]] == ["revision zz"]
    assert "Nothing is to be repaired." in project.run("pgsteady", "repair")
    assert project.run("alembic", "current").split()[0] == head


POOL = [
    "ALTER TABLE a ADD x int",
    "ALTER TABLE a ADD y text DEFAULT 'y' NOT NULL",
    "ALTER TABLE a ALTER b DROP NOT NULL",
    "ALTER TABLE a ADD CONSTRAINT positive CHECK (b > 0) NOT VALID",
    "CREATE TABLE z (id serial PRIMARY KEY, of int REFERENCES a)",
    "CREATE TYPE colour AS ENUM ('red')",
    "CREATE VIEW v AS SELECT b FROM a",
    "CREATE INDEX CONCURRENTLY ix_b ON a (b)",
    "CREATE UNIQUE INDEX CONCURRENTLY ix_id_b ON a (id, b) WHERE b > 1",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "COMMENT ON COLUMN a.b IS 'something'",
    "CREATE SCHEMA s",
    "CREATE SEQUENCE q",
]


@pytest.mark.slow
@settings(
    max_examples=int(os.environ.get("REPAIR_EXAMPLES", "8")),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    statements=st.lists(st.sampled_from(POOL), min_size=1, max_size=5, unique=True),
    data=st.data(),
)
def test_any_statements_broken_off_anywhere(
    fresh_database: Callable[..., str],
    tmp_path_factory: pytest.TempPathFactory,
    statements: list[str],
    data: st.DataObject,
) -> None:
    """Undone, it is as before; run again, or finished, it is as if nothing had happened."""
    cut = data.draw(st.integers(1, len(statements)))
    finish = data.draw(st.booleans())
    project = Project(tmp_path_factory.mktemp("toy"))
    project.revision("001_a", "op.execute('CREATE TABLE a (id int PRIMARY KEY, b int NOT NULL)')")
    project.revision("002_b", autocommit(*statements), down="001_a")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DATABASE_URL", fresh_database())
        project.run("upgrade", "001_a")
        before = schema()
        project.run("upgrade", "head")
        after = schema()
        environment.setenv("DATABASE_URL", fresh_database())
        project.run("upgrade", "001_a")
        revision = project.versions / "002_b.py"
        whole = revision.read_text()
        broken = [*statements[:cut], "SELECT 1 / 0"]
        project.revision("002_b", autocommit(*broken), down="001_a")
        with pytest.raises(CommandError):
            project.run("upgrade", "head")
        revision.write_text(whole)
        report = repair_project(Read.load(project.ini), finish=finish)
        assert report.is_whole, report
        assert schema() == (after if finish else before)
        project.run("upgrade", "head")
        assert schema() == after


def schema() -> str:
    """Return what pg_dump says of the schema, but for what is pgsteady's own."""
    from pgsteady.backup import client_for, environment
    from pgsteady.url import resolve

    database = resolve(Path("alembic.ini"))
    dump = [client_for("pg_dump", database), "--schema-only", "--exclude-schema=pgsteady"]
    said = subprocess.run(
        dump, check=True, capture_output=True, text=True, env=environment(database)
    ).stdout
    return "\n".join(line for line in said.splitlines() if "restrict" not in line)
