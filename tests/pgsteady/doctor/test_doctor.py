"""Every row of the guide's troubleshooting and more: injected for real, told with its cure."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import psycopg2
import pytest
from alembic.util import CommandError
from examined import PAGE, Doctor, lasting, shown
from pooler import pooler

import pgsteady.doctor
from pgsteady import errors
from pgsteady.doctor import activity
from pgsteady.doctor.examination import fault
from pgsteady.fingerprints import record
from pgsteady.project import Project as Loaded
from servers import PASSWORD
from toy import Project

if TYPE_CHECKING:
    from servers import ExternalServer


Sql = Callable[..., list[tuple[object, ...]]]


def typed(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Type the command in another folder than the project's."""
    done = subprocess.run(
        [sys.executable, "-m", "pgsteady", "-c", str(project.ini), "doctor", *arguments],
        cwd=project.folder.parent,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    for secret in (PASSWORD, quote(PASSWORD, safe="")):
        assert secret not in done.stdout + done.stderr
    return done


def autocommit(statement: str) -> None:
    with closing(psycopg2.connect(os.environ["DATABASE_URL"])) as connection:
        connection.autocommit = True
        connection.cursor().execute(statement)


def git(project: Project, *arguments: str) -> str:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    command = ["git", "-C", str(project.folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


# Healthy


@pytest.mark.parametrize("major", [pytest.param(16, marks=pytest.mark.slow), 18])
def test_nothing_is_found_in_a_healthy_project(
    major: int,
    project: Project,
    doctor: Doctor,
    fresh_database: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", fresh_database(major))
    project.run("upgrade", "head")
    examined = doctor()
    assert examined.codes == []
    assert examined.detail("version").startswith(f"PostgreSQL {major}")
    unknown = [name for name, result in examined.results.items() if not result.answer.known]
    assert unknown == ["disk", "schema"]
    assert examined.detail("disk").endswith("GRANT pg_read_all_settings TO orion;")


def test_it_changes_nothing(project: Project, database: str, doctor: Doctor, sql: Sql) -> None:
    doctor()
    assert sql("SELECT to_regclass('alembic_version'), to_regnamespace('pgsteady')") == [
        (None, None)
    ]


@pytest.mark.slow
def test_command_says_so_with_its_exit_code(healthy: Project, sql: Sql) -> None:
    record(Loaded.load(healthy.ini))
    assert lasting(typed(healthy).stdout) == lasting(
        PAGE.read_text().partition("```text\n")[2].partition("```")[0]
    )
    well = typed(healthy, "--json")
    assert (well.returncode, json.loads(well.stdout)["healthy"]) == (0, True)
    sql("ALTER TABLE a ADD CHECK (id > 0) NOT VALID")
    ill = typed(healthy)
    assert ill.returncode == 1
    assert "ALTER TABLE a VALIDATE CONSTRAINT a_id_check;" in ill.stdout
    (name,) = sql("SELECT current_database()")[0]
    sql(f'ALTER DATABASE "{name}" SET search_path TO nowhere')
    assert typed(healthy).returncode == 3


# The project's files


def test_run_outside_of_the_project(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pgsteady", "doctor"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert f"There is no file {tmp_path / 'alembic.ini'}" in done.stdout.replace("\n", " ")
    assert "not known  server" in done.stdout
    assert "Traceback" not in done.stderr


BROKEN = {
    "syntax": ("003_c.py", "def upgrade(:", "003_c.py, line 1"),
    "import": ("003_c.py", "import nowhere", "No module named 'nowhere'"),
    "parent": ("003_c.py", "revision = '003_c'\ndown_revision = '000_x'", "000_x"),
    "twice": ("003_c.py", "revision = '002_b'\ndown_revision = '001_a'", "more than once"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_revision(healthy: Project, doctor: Doctor, case: str) -> None:
    file, text, said = BROKEN[case]
    (healthy.versions / file).write_text(text)
    examined = doctor()
    finding = examined.only("project-unreadable")
    assert said in finding.message
    assert str(healthy.versions) in finding.cure
    assert examined.state("revision") == "not known"
    assert examined.state("indexes") == "ok"


def test_a_broken_env(healthy: Project, doctor: Doctor) -> None:
    healthy.models("raise RuntimeError('no models')")
    assert "no models" in shown(doctor().only("project-unreadable")).message


def test_several_heads(healthy: Project, doctor: Doctor) -> None:
    healthy.revision("003_c", down="002_b")
    healthy.revision("003_d", down="002_b")
    examined = doctor()
    assert examined.codes == ["several-heads", "database-behind"]
    assert shown(examined.findings[0]).cure == 'Join them: alembic merge heads -m "merge"'
    healthy.run("merge", "heads", message="merge")
    healthy.run("upgrade", "head")
    assert doctor().codes == []


# The way to the server

UNREACHABLE = {
    "down": ("127.0.0.1", "127.0.0.2", "server-unreachable", "Start the server"),
    "password": ("orion:", "orion:wrong", "authentication-failed", "Correct the user name"),
    "user": ("orion:", "nobody:", "authentication-failed", "Correct the user name"),
    "database": ("/test_", "/nothing_", "database-missing", "CREATE DATABASE"),
    "url": ("127.0.0.1:", "127.0.0.1:x", "url-error", "postgresql://user:password@host"),
}


SHOWN = {"down", "password", "database"}


@pytest.mark.parametrize("case", UNREACHABLE)
def test_no_connection(
    healthy: Project, doctor: Doctor, database: str, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    old, new, code, cure = UNREACHABLE[case]
    monkeypatch.setenv("DATABASE_URL", database.replace(old, new))
    examined = doctor()
    finding = examined.only(code)
    assert cure in finding.cure
    if case in SHOWN:
        shown(finding)
    assert examined.detail("indexes") == "no connection"
    assert examined.state("heads") == "ok"
    assert typed(healthy).returncode == 3


def test_no_database_is_named(
    healthy: Project, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    assert "Set DATABASE_URL" in shown(doctor().only("url-error")).cure


def test_a_pooler_in_the_way(
    healthy: Project, doctor: Doctor, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(database.rpartition(":")[2].partition("/")[0])
    with pooler(port) as pooled:
        monkeypatch.setenv("DATABASE_URL", database.replace(f":{port}/", f":{pooled}/"))
        examined = doctor()
        assert "Set DATABASE_URL_DIRECT" in shown(examined.only("pooler-in-the-way")).cure
        assert examined.detail("revision") == "002_b"
        monkeypatch.setenv("DATABASE_URL_DIRECT", database)
        assert doctor().detail("pooler") == f"passed by: DATABASE_URL_DIRECT is 127.0.0.1:{port}"


# The server and the role


def test_an_old_server(healthy: Project, doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    """No older server is at hand, so this one is taken for too old."""
    monkeypatch.setattr("pgsteady.doctor.server.OLDEST_MAJOR", 99)
    assert "pg_upgrade" in shown(doctor().only("server-too-old")).cure


def test_extension_that_the_role_may_not_create(
    project: Project,
    doctor: Doctor,
    fresh_database: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    external_server: Callable[..., ExternalServer],
) -> None:
    monkeypatch.setenv("DATABASE_URL", fresh_database(name="bare", extension=False))
    finding = shown(doctor().findings[0])
    assert finding.code == "extension-missing"
    assert "orion may not create it" in finding.message
    assert finding.cure == "An administrator runs once, in database bare:"
    with external_server().cluster.session("bare") as cursor:
        cursor.execute(finding.sql)
    assert doctor().codes == ["not-migrated"]


def test_extension_that_the_role_may_create(
    project: Project,
    doctor: Doctor,
    fresh_database: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    external_server: Callable[..., ExternalServer],
) -> None:
    server = external_server()
    url = fresh_database(extension=False)
    secret = quote(server.cluster.password)
    monkeypatch.setenv("DATABASE_URL", f"postgresql://postgres:{secret}@{url.partition('@')[2]}")
    assert doctor().codes == ["not-migrated"]  # a pending revision creates it
    project.run("stamp", "head")
    finding = doctor().findings[0]
    assert (finding.code, finding.sql) == (
        "extension-missing",
        "CREATE EXTENSION IF NOT EXISTS vector;",
    )
    assert "may not" not in finding.message


def test_extension_that_is_not_installed(project: Project, doctor: Doctor, database: str) -> None:
    project.revision("003_c", 'op.execute("CREATE EXTENSION postgis")', down="002_b")
    finding = shown(doctor().findings[0])
    assert (finding.code, finding.object) == ("extension-not-installed", "extension postgis")


@pytest.mark.parametrize(
    ("version", "code"), [("0.6.2", "extension-too-old"), ("0.8.0", "extension-behind")]
)
def test_extension_of_an_old_version(
    healthy: Project,
    doctor: Doctor,
    database: str,
    external_server: Callable[..., ExternalServer],
    version: str,
    code: str,
) -> None:
    """As pg_upgrade leaves it: the catalog names the old version."""
    healthy.models("Table('a', metadata, Column('id', sa.Integer), Column('v', HALFVEC(3)))")
    with external_server().cluster.session(database.rpartition("/")[2]) as cursor:
        cursor.execute("UPDATE pg_extension SET extversion = %s", (version,))
    finding = shown(doctor().only(code))
    assert finding.sql == "ALTER EXTENSION vector UPDATE;"
    assert version in finding.message


def test_rights(
    healthy: Project,
    doctor: Doctor,
    database: str,
    external_server: Callable[..., ExternalServer],
) -> None:
    name = database.rpartition("/")[2]
    with external_server().cluster.session(name) as cursor:
        cursor.execute("ALTER TABLE b OWNER TO postgres")
        cursor.execute(f'ALTER DATABASE "{name}" OWNER TO postgres')
        examined = doctor()
        assert examined.codes == [
            "no-right-on-schema", "no-right-on-database", "not-owner"
        ]  # fmt: skip
        for finding in examined.findings:
            cursor.execute(shown(finding).sql)
    assert doctor().codes == []


def test_a_search_path_to_nowhere(
    healthy: Project, doctor: Doctor, database: str, sql: Sql
) -> None:
    sql(f'ALTER DATABASE "{database.rpartition("/")[2]}" SET search_path TO nowhere')
    assert shown(doctor().findings[0]).code == "no-schema"


# The history


def test_a_database_that_is_behind(healthy: Project, doctor: Doctor) -> None:
    healthy.revision("003_c", down="002_b")
    finding = shown(doctor().only("database-behind"))
    assert (finding.cure, "003_c" in finding.message) == ("alembic upgrade head", True)


def test_nothing_was_migrated(project: Project, doctor: Doctor, database: str) -> None:
    assert shown(doctor().only("not-migrated")).cure == "alembic upgrade head"


@pytest.mark.parametrize("there", [(), ("CREATE TABLE a (id int)",)], ids=["empty", "tables"])
def test_a_project_without_revisions(
    project: Project, doctor: Doctor, sql: Sql, there: tuple[str, ...]
) -> None:
    project.models('Table("a", metadata, Column("id", sa.Integer, primary_key=True))')
    for file in project.versions.glob("*.py"):
        file.unlink()
    for statement in there:
        sql(statement)
    examined = doctor()
    assert examined.codes == []
    assert examined.detail("revision") == "the project has no revision yet"


def test_tables_of_others_are_no_tables_without_a_version(
    project: Project, doctor: Doctor, sql: Sql
) -> None:
    """Where no models say which tables are the project's, its pending revisions do."""
    project.models("")
    sql("CREATE TABLE of_another (id int)")
    assert doctor().codes == ["not-migrated"]
    sql("CREATE TABLE b (id int)")
    assert "tables are there: b." in doctor().only("tables-without-version").message


def test_a_database_ahead_of_the_code(healthy: Project, doctor: Doctor) -> None:
    healthy.revision("003_c", down="002_b")
    git(healthy, "init", "-q")
    git(healthy, "add", ".")
    git(healthy, "commit", "-qm", "first")
    healthy.run("upgrade", "head")
    (healthy.versions / "003_c.py").unlink()
    finding = shown(doctor().only("database-ahead"))
    assert finding.cure == f"Use that code: git checkout {git(healthy, 'rev-parse', 'HEAD')}"


@pytest.mark.slow
def test_an_unknown_revision(healthy: Project, doctor: Doctor, sql: Sql) -> None:
    record(Loaded.load(healthy.ini))
    sql("UPDATE alembic_version SET version_num = 'gone'")
    finding = shown(doctor().only("unknown-revision"))
    assert "exactly that of 002_b" in finding.message
    assert finding.cure.endswith("alembic stamp --purge 002_b")
    healthy.typed("stamp", "--purge", "002_b")
    assert doctor().codes == []


def test_an_unknown_revision_of_an_unknown_schema(
    healthy: Project, doctor: Doctor, sql: Sql
) -> None:
    record(Loaded.load(healthy.ini))
    sql("UPDATE alembic_version SET version_num = 'gone'")
    sql("ALTER TABLE b ADD COLUMN more int")
    finding = doctor().only("unknown-revision")
    assert "nearest is 002_b, but for table b (different)" in finding.message
    assert "Stamp nothing" in finding.cure


@pytest.mark.parametrize("how", ["DROP TABLE alembic_version", "DELETE FROM alembic_version"])
def test_tables_without_a_version(healthy: Project, doctor: Doctor, sql: Sql, how: str) -> None:
    record(Loaded.load(healthy.ini))
    healthy.run("downgrade", "-1")
    sql(how)
    finding = shown(doctor().only("tables-without-version"))
    assert "exactly that of 001_a" in finding.message
    assert finding.cure == "alembic stamp 001_a && alembic upgrade head"
    healthy.run("stamp", "001_a")
    healthy.run("upgrade", "head")
    assert doctor().codes == []


def test_tables_of_no_revision(healthy: Project, doctor: Doctor, sql: Sql) -> None:
    sql("DROP TABLE alembic_version")
    assert "no fingerprints are kept" in doctor().only("tables-without-version").message
    record(Loaded.load(healthy.ini))
    sql("DROP TABLE a")
    finding = doctor().only("tables-without-version")
    assert (
        "nearest is 002_b, but for sequence a_id_seq (missing), table a (missing)"
        in finding.message
    )
    assert "Stamp nothing yet" in finding.cure


def test_a_version_that_was_stamped_and_is_not_true(healthy: Project, doctor: Doctor) -> None:
    record(Loaded.load(healthy.ini))
    healthy.run("downgrade", "-1")
    healthy.run("stamp", "head")
    finding = shown(doctor().only("wrong-version"))
    assert finding.cure == "alembic stamp 001_a && alembic upgrade head"


def test_a_schema_that_drifted(healthy: Project, doctor: Doctor, sql: Sql) -> None:
    record(Loaded.load(healthy.ini))
    assert doctor().detail("schema") == "that of 002_b"
    sql("ALTER TABLE b ADD COLUMN more int")
    assert "but for table b (different)" in shown(doctor().only("schema-drifted")).message


def test_a_landed_revision_that_was_edited(healthy: Project, doctor: Doctor) -> None:
    file = healthy.versions / "001_a.py"
    file.write_text(file.read_text() + "# edited\n")
    finding = shown(doctor().only("landed-revision-edited"))
    assert (finding.object, finding.file) == ("revision 001_a", file)
    healthy.run("downgrade", "base")
    healthy.run("upgrade", "head")
    assert doctor().codes == []


def test_who_applied_a_revision_is_not_known_without_a_record(
    healthy: Project, doctor: Doctor, sql: Sql
) -> None:
    sql("DROP SCHEMA pgsteady CASCADE")
    examined = doctor()
    assert examined.state("landed files") == "not known"
    assert "no record of 002_b, 001_a being applied" in examined.detail("landed files")


# The schema


def test_an_invalid_index(healthy: Project, doctor: Doctor, sql: Sql) -> None:
    sql("CREATE TABLE c AS SELECT 1 AS id FROM generate_series(1, 2)")
    with pytest.raises(psycopg2.errors.UniqueViolation):
        autocommit("CREATE UNIQUE INDEX CONCURRENTLY i ON c (id)")
    finding = shown(doctor().only("index-invalid"))
    assert finding.object == "index i of c"
    assert "remove the rows that are there twice" in finding.cure
    sql("DELETE FROM c WHERE ctid = '(0,1)'")
    autocommit(finding.sql)
    assert doctor().codes == []


def test_an_invalid_index_of_a_pending_revision(healthy: Project, doctor: Doctor, sql: Sql) -> None:
    sql("CREATE TABLE c AS SELECT 1 AS id FROM generate_series(1, 2)")
    build = "CREATE UNIQUE INDEX CONCURRENTLY i ON c (id)"
    healthy.revision(
        "003_c",
        f"with op.get_context().autocommit_block():\n        op.execute({build!r})",
        down="002_b",
    )
    with pytest.raises(CommandError):
        healthy.run("upgrade", "head")
    sql("DELETE FROM c WHERE ctid = '(0,1)'")
    examined = doctor()
    assert examined.codes == ["database-behind", "index-invalid"]
    autocommit(examined.findings[1].sql)
    healthy.run("upgrade", "head")
    assert doctor().codes == []


def test_a_constraint_that_is_not_valid(healthy: Project, doctor: Doctor, sql: Sql) -> None:
    sql('ALTER TABLE a ADD CONSTRAINT "Odd" CHECK (id > 0) NOT VALID')
    finding = shown(doctor().only("constraint-not-valid"))
    sql(finding.sql)
    assert doctor().codes == []


# Who is at work


def test_a_long_transaction(
    healthy: Project, doctor: Doctor, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity, "OLD_S", 0.05)
    with closing(psycopg2.connect(database, application_name="report")) as other:
        other.cursor().execute("SELECT id, 'a secret', 42 FROM a -- secret\n FOR UPDATE")
        time.sleep(0.1)
        finding = shown(doctor().only("long-transaction"))
        assert finding.object == f"pid {other.info.backend_pid}"
        assert "orion (report) has had a transaction open" in finding.message
        assert "has locked a." in finding.message
        assert finding.message.endswith("SELECT id, ?, ? FROM a FOR UPDATE")
        with closing(psycopg2.connect(database)) as third:
            third.cursor().execute(finding.sql)
    assert doctor().codes == []


def test_a_transaction_of_somebody_else(
    healthy: Project,
    doctor: Doctor,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    external_server: Callable[..., ExternalServer],
) -> None:
    monkeypatch.setattr(activity, "OLD_S", 0.05)
    with external_server().cluster.session(database.rpartition("/")[2]) as administrator:
        administrator.execute("BEGIN")
        administrator.execute("LOCK TABLE b")
        examined = doctor()
        assert examined.codes == []
        assert "of postgres has locked b" in examined.detail("transactions")
        assert "GRANT pg_read_all_stats TO orion;" in examined.detail("transactions")
        administrator.execute("ROLLBACK")


# The page of the docs

FAULTS = (
    errors.ProjectUnreadable,
    errors.UrlError,
    errors.ServerUnreachable,
    errors.AuthenticationFailed,
    errors.DatabaseMissing,
    errors.PoolerInTheWay,
)


def test_every_finding_has_its_place_in_the_docs() -> None:
    """The tests above call ``shown`` for each, so that its output there is real."""
    sources = [*Path(pgsteady.doctor.__file__).parent.glob("*.py")]
    codes = {code for file in sources for code in re.findall(r'code="([\w-]+)"', file.read_text())}
    codes |= {fault("", error()).findings[0].code for error in FAULTS}
    assert set(re.findall(r"^### `([\w-]+)`$", PAGE.read_text(), re.MULTILINE)) == codes
