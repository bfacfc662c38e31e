"""``check`` and ``status`` as users run them, on other people's projects and on ours."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from foreign_project import ForeignProject
from typer.testing import CliRunner, Result

from pgsteady import backup
from pgsteady.cli.app import app
from pgsteady.connection import connect
from pgsteady.errors import ModelsFailed, SchemaBusy, WrongAllowance
from pgsteady.fingerprints import live_fingerprint
from pgsteady.project import Project
from pgsteady.url import parse
from toy import Project as ToyProject

FreshDatabase = Callable[..., str]


def run_sql(url: str, statement: str) -> None:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize("major", [pytest.param(16, marks=pytest.mark.slow), 18])
@pytest.mark.parametrize("name", ["shop", "lab"])
def test_a_foreign_project(
    name: str, major: int, tmp_path: Path, fresh_database: FreshDatabase
) -> None:
    url = fresh_database(major)
    project = ForeignProject(name, tmp_path, url)
    project.run("alembic", "upgrade", "head")
    assert "agree" in project.run("pgsteady", "check")
    table = {"shop": "customers", "lab": "sample"}[name]
    run_sql(url, f"CREATE TABLE stray (id int); ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    run_sql(url, f"ALTER TABLE {table} SET (fillfactor = 50)")
    report = json.loads(project.run("pgsteady", "check", "--json", exits=1))
    assert {"table stray", f"table {table}"} == {found["object"] for found in report["drift"]}
    assert f"ALTER TABLE {table} RESET (fillfactor);" in {found["sql"] for found in report["drift"]}
    status = json.loads(project.run("pgsteady", "status", "--json", exits=1))
    assert (status["pending"], status["drift"]) == ([], True)


@pytest.mark.slow
def test_a_history_that_cannot_be_replayed(tmp_path: Path, fresh_database: FreshDatabase) -> None:
    url = fresh_database()
    project = ForeignProject("lab", tmp_path, url)
    run_sql(url, "CREATE TABLE made_by_hand (id int)")
    version = tmp_path / "migrations" / "versions" / "d1.py"
    version.write_text(
        "from alembic import op\nrevision, down_revision = 'd1', 'c1'\n"
        "def upgrade():\n    op.execute('ALTER TABLE made_by_hand ADD COLUMN name text')\n"
    )
    project.run("alembic", "upgrade", "head")
    report = json.loads(project.run("pgsteady", "check", "--json", exits=1))
    (reason,) = report["not_compared"]
    assert 'd1 does not run on an empty database: relation "made_by_hand" does not exist' in reason
    assert "triggers" in reason
    assert not report["drift"]
    assert [found["object"] for found in report["pending"]] == ["table made_by_hand"]


def test_models_ahead_of_the_revisions(project: ToyProject, database: str) -> None:
    project.models('Table("a", metadata, Column("id", sa.Integer, primary_key=True))')
    project.generate("first")
    project.run("upgrade", "head")
    assert check(project) == (0, [], [])
    project.models(
        'Table("a", metadata, Column("id", sa.Integer, primary_key=True), Column("b", Vector(3)))'
    )
    code, drift, pending = check(project)
    assert (code, drift) == (1, [])
    assert [found["object"] for found in pending] == ["column a.b"]
    assert pending[0]["sql"] == "ALTER TABLE a ADD COLUMN b vector(3);"
    assert pending[0]["undo"] == "ALTER TABLE a DROP COLUMN b;"


@pytest.mark.slow
def test_what_is_allowed_needs_a_reason(project: ToyProject, database: str) -> None:
    project.models('Table("a", metadata, Column("id", sa.Integer, primary_key=True))')
    project.generate("first")
    project.run("upgrade", "head")
    run_sql(database, "CREATE INDEX ix_by_hand ON a (id)")
    allow = project.folder / "pyproject.toml"
    entry = '[[tool.pgsteady.check.allow]]\nobject = "index a.ix_by_*"\ncode = "extra-index"\n'
    allow.write_text(entry)
    with pytest.raises(WrongAllowance, match="needs an object and a reason"):
        run_check(project)
    allow.write_text(entry + 'reason = "For the yearly report"\n')
    assert check(project) == (0, [], [])
    assert "For the yearly report" in run_check(project).stdout
    run_sql(database, "CREATE INDEX ix_other ON a (id)")
    code, drift, _ = check(project)
    assert (code, [found["object"] for found in drift]) == (1, ["index a.ix_other"])


def test_what_is_nobodys_drift(project: ToyProject, database: str) -> None:
    """Our own state, the application's indexes; but not the ruins of one."""
    project.models('Table("a", metadata, Column("v", Vector(3)))')
    project.generate("first")
    project.run("upgrade", "head")
    run_sql(database, "CREATE INDEX ix_hnsw__m ON a USING hnsw (v vector_l2_ops)")
    run_sql(database, "CREATE TABLE IF NOT EXISTS pgsteady.anything (id int)")
    assert check(project) == (0, [], [])


RESTORED = """
people = Table("people", metadata,
    Column("id", sa.Integer, primary_key=True),
    Column("role", sa.String(20), server_default="a"),
    Column("shown", sa.Boolean, Computed("role IN ('a', 'b')", persisted=True)),
    sa.CheckConstraint("role IN ('a', 'b')", name="role"),
    sa.CheckConstraint("id BETWEEN 1 AND 9 AND id BETWEEN 2 AND 8", name="id"),
)
Index("ix_people_role", people.c.id, postgresql_where=people.c.role.in_(["a", "b"]))
"""


@pytest.mark.slow
def test_a_restored_dump_is_the_same_schema(
    project: ToyProject, database: str, fresh_database: FreshDatabase, monkeypatch: Any
) -> None:
    """PostgreSQL writes some expressions otherwise once it has read what it wrote."""
    project.models(RESTORED)
    project.generate("first")
    project.run("upgrade", "head")
    dump, copy = project.folder / "all.sql", fresh_database()
    backup.dump(parse(database, "the test"), dump)
    backup.load(parse(copy, "the test"), dump)
    before = fingerprint_of(project, database)
    monkeypatch.setenv("DATABASE_URL", copy)
    assert check(project) == (0, [], [])
    assert "No new upgrade operations" in project.run("check")
    assert fingerprint_of(project, copy) == before
    run_sql(copy, "ALTER TABLE people DROP CONSTRAINT ck_people_role")
    run_sql(copy, "ALTER TABLE people ADD CONSTRAINT ck_people_role CHECK (role IN ('a', 'c'))")
    code, drift, _ = check(project)
    assert (code, [found["code"] for found in drift]) == (1, ["constraint-definition"])
    assert fingerprint_of(project, copy) != before


def fingerprint_of(project: ToyProject, url: str) -> dict[str, str]:
    with connect(parse(url, "the test")) as connection:
        return live_fingerprint(Project.load(project.ini), connection)


def test_a_locked_table_is_not_waited_for_without_end(project: ToyProject, database: str) -> None:
    project.models(RESTORED)
    project.generate("first")
    project.run("upgrade", "head")
    with closing(psycopg2.connect(database)) as other, other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE people IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(SchemaBusy, match="when it has ended"):
            run_check(project)
    assert check(project) == (0, [], [])


def test_an_unknown_revision_is_named(project: ToyProject, database: str) -> None:
    project.revision("001_first", upgrade="pass")
    project.run("upgrade", "head")
    run_sql(database, "UPDATE alembic_version SET version_num = 'of_another_branch'")
    code, drift, _ = check(project)
    assert (code, drift[0]["code"]) == (1, "unknown-revision")


def test_a_role_that_may_not_create_is_told_so(
    project: ToyProject, external_server: Callable[[], object], database: str
) -> None:
    project.models('Table("a", metadata, Column("id", sa.Integer, primary_key=True))')
    name = database.rpartition("/")[2]
    with external_server().cluster.session() as cursor:  # type: ignore[attr-defined]
        cursor.execute(f'ALTER DATABASE "{name}" OWNER TO postgres')
    with pytest.raises(ModelsFailed, match=f'GRANT CREATE ON DATABASE "{name}" TO "orion"'):
        run_check(project)


def test_no_project_is_wrong_surroundings(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pgsteady", "check"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 3
    assert b"There is no file" in done.stderr


def check(project: ToyProject) -> tuple[int, list[dict[str, str]], list[dict[str, str]]]:
    done = run_check(project, "--json")
    report = json.loads(done.stdout)
    return done.exit_code, report["drift"], report["pending"]


def run_check(project: ToyProject, *arguments: str) -> Result:
    command = ["-c", str(project.ini), "check", *arguments]
    return CliRunner().invoke(app, command, catch_exceptions=False)
