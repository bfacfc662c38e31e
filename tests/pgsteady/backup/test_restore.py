"""A backup comes back: beside the database in use, and then in its place."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

import psycopg2
import pytest
from orders import EVERYTHING, Command, Sql, query

from pgsteady.backup import Backup, back_up, recover
from pgsteady.errors import RestoreFailed
from pgsteady.project import Project
from pgsteady.server import BUNDLED_MAJORS
from servers import ExternalServer
from toy import Project as Toy

OLDEST, NEWEST = BUNDLED_MAJORS[0], BUNDLED_MAJORS[-1]
on_each_major = pytest.mark.parametrize(
    "major", [pytest.param(OLDEST, marks=pytest.mark.slow), NEWEST], indirect=True
)
kinds = pytest.mark.parametrize(
    ("major", "form"),
    [
        (OLDEST, "custom"),
        (NEWEST, "directory"),
        pytest.param(OLDEST, "directory", marks=pytest.mark.slow),
        pytest.param(NEWEST, "custom", marks=pytest.mark.slow),
    ],
    indirect=["major"],
)
NAMES = "SELECT datname::text FROM pg_database WHERE NOT datistemplate ORDER BY 1"


def beside(url: str, name: str) -> str:
    """Return the URL of another database of the server."""
    return f"{url.rpartition('/')[0]}/{name}"


def name_of(url: str) -> str:
    return url.rpartition("/")[2]


@pytest.fixture
def clean(server: ExternalServer, database: str, template: None) -> object:
    """Drop what the test made beside the project's database."""
    before = set(query(database, NAMES))
    yield
    for (name,) in set(query(server.url("postgres"), NAMES)) - before:
        server.drop(name)


@pytest.mark.slow
@kinds
def test_into_a_new_database(run: Command, sql: Sql, database: str, clean: None, form: str) -> None:
    before = sql(EVERYTHING)
    run("backup", "--format", form, "--no-proof")
    sql("DELETE FROM orders")
    said = run("restore", "latest", "--into", "Second %").out
    assert query(beside(database, "Second %25"), EVERYTHING) == before
    assert sql("SELECT count(*) FROM orders") == [(0,)]
    assert "name Second % in the URL, which comes from environment DATABASE_URL" in said


@on_each_major
def test_switch(run: Command, sql: Sql, database: str, backup: Backup, clean: None) -> None:
    before = sql(EVERYTHING)
    sql("DROP TABLE orders CASCADE")
    answer = run("restore", backup.folder, "--switch", "--json").json
    assert sql(EVERYTHING) == before
    assert answer["database"] == name_of(database)
    assert query(beside(database, answer["kept"]), "SELECT to_regclass('orders')") == [(None,)]


def test_a_database_that_is_gone_comes_back(
    run: Command, sql: Sql, database: str, backup: Backup, server: ExternalServer, clean: None
) -> None:
    before = sql(EVERYTHING)
    server.drop(name_of(database))
    assert run("restore", "latest", "--switch").out == f"{name_of(database)} is the backup now.\n"
    assert sql(EVERYTHING) == before


@pytest.mark.slow
def test_switch_keeps_settings_and_privileges(
    run: Command, sql: Sql, database: str, project: Project, server: ExternalServer, clean: None
) -> None:
    name = name_of(database)
    with server.cluster.session() as cursor:
        cursor.execute("CREATE ROLE reporting")
    sql(f'ALTER DATABASE {name} SET search_path TO public, "Größe, %"')
    sql(
        f"ALTER DATABASE {name} SET work_mem TO '7MB'; "
        f"ALTER DATABASE {name} SET application_name TO 'it''s'"
    )
    sql(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC; GRANT CONNECT ON DATABASE {name} TO reporting")
    look = (
        "SELECT array(SELECT unnest(setconfig) FROM pg_db_role_setting WHERE setdatabase = d.oid "
        "AND setrole = 0 ORDER BY 1), d.datacl::text FROM pg_database d "
        "WHERE datname = current_database()"
    )
    before = sql(look)
    backup = back_up(project)
    try:
        run("restore", backup.folder, "--switch")
        assert sql(look) == before
    finally:
        with server.cluster.session() as cursor:
            cursor.execute("SELECT datname FROM pg_database WHERE datacl::text ~ 'reporting'")
            for (each,) in cursor.fetchall():
                cursor.execute(f'REVOKE ALL ON DATABASE "{each}" FROM reporting')
            cursor.execute("DROP ROLE reporting")


@pytest.mark.slow
def test_who_is_connected_is_named_and_ended_only_if_asked(
    run: Command, sql: Sql, database: str, backup: Backup, clean: None
) -> None:
    user = psycopg2.connect(database, application_name="the web page")
    before = query(beside(database, "postgres"), NAMES)
    said = run("restore", backup.folder, "--switch", exits=1).err
    assert f"pid {user.info.backend_pid} (the web page of orion" in said
    assert "--end-sessions" in said
    assert query(beside(database, "postgres"), NAMES) == before, "nothing was begun"
    run("restore", backup.folder, "--switch", "--end-sessions")
    with pytest.raises(psycopg2.OperationalError), user.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert sql("SELECT count(*) FROM orders") == [(2000,)]


def test_programs_that_come_back_at_once_do_not_prevent_the_switch(
    project: Project, database: str, backup: Backup, clean: None
) -> None:
    ended, seen = Event(), set()

    def come_back() -> None:
        while not ended.is_set():
            with suppress(psycopg2.Error):
                seen.update(query(database, "SELECT count(*) FROM orders"))

    query(database, "DELETE FROM orders WHERE id > 1000")
    programs = [Thread(target=come_back) for _ in range(6)]
    for program in programs:
        program.start()
    try:
        recover(backup, project, switch=True, end_sessions=True)
        while (2000,) not in seen:
            time.sleep(0.01)
    finally:
        ended.set()
        for program in programs:
            program.join()


def test_sessions_that_this_role_may_not_end(
    run: Command, backup: Backup, database: str, server: ExternalServer, clean: None
) -> None:
    with server.cluster.session(name_of(database)) as cursor:
        cursor.execute("SELECT 1")
        said = run("restore", backup.folder, "--switch", "--end-sessions", exits=1).err
    assert "GRANT pg_signal_backend TO orion;" in said
    assert f"The database {name_of(database)} is as it was" in said


@pytest.mark.slow
def test_who_looks_into_the_new_database_is_named(
    run: Command, backup: Backup, database: str, clean: None
) -> None:
    run("restore", backup.folder, "--into", "second")
    user = psycopg2.connect(beside(database, "second"))
    said = run("restore", backup.folder, "--into", "second", "--switch", exits=1).err
    assert f"The database second is in use by 1: pid {user.info.backend_pid}" in said
    user.close()
    run("restore", backup.folder, "--into", "second", "--switch")


def test_a_switch_that_fails_says_what_is_true_and_how_to_go_on(
    run: Command,
    project: Project,
    database: str,
    backup: Backup,
    clean: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody connects after the restore was begun."""
    monkeypatch.setattr("pgsteady.backup.recovery._require_unused", lambda *_: None)
    user = psycopg2.connect(database)
    with pytest.raises(RestoreFailed) as failure:
        recover(backup, project, into="second", switch=True)
    user.close()
    said = str(failure.value)
    assert f"The database {name_of(database)} is as it was" in said
    command = f"restore {backup.folder} --into second --switch"
    assert command in said
    made = query(beside(database, "second"), "SELECT oid FROM pg_database WHERE datname = 'second'")
    run(*command.split())
    assert query(database, "SELECT oid FROM pg_database WHERE datname = current_database()") == made


def test_another_database_of_that_name_is_left_alone(
    run: Command, backup: Backup, server: ExternalServer, database: str, clean: None
) -> None:
    server.create("second")
    assert (
        "There is a database second already"
        in run("restore", backup.folder, "--into", "second", exits=1).err
    )
    assert query(beside(database, "second"), "SELECT to_regclass('orders')") == [(None,)]


def test_a_role_without_createdb_is_told_what_an_administrator_runs(
    run: Command, backup: Backup, server: ExternalServer, database: str, clean: None, sql: Sql
) -> None:
    with server.cluster.session() as cursor:
        cursor.execute("ALTER ROLE orion NOCREATEDB")
    try:
        said = run("restore", backup.folder, exits=1).err
        assert "ALTER ROLE orion CREATEDB;" in said
        server.create("given")
        run("restore", backup.folder, "--into", beside(database, "given"))
        assert query(beside(database, "given"), EVERYTHING) == sql(EVERYTHING)
        said = run("restore", backup.folder, "--into", beside(database, "given"), exits=1).err
        assert "has tables already" in said
    finally:
        with server.cluster.session() as cursor:
            cursor.execute("ALTER ROLE orion CREATEDB")


def test_an_extension_that_this_role_may_not_create(
    run: Command, backup: Backup, database: str, sql: Sql, server: ExternalServer
) -> None:
    before = query(database, NAMES)
    said = run("restore", backup.folder, exits=1).err
    assert "in database template1: CREATE EXTENSION vector;" in said
    assert query(database, NAMES) == before, "nothing is left"


def test_roles_of_another_server(
    run: Command, project: Project, sql: Sql, server: ExternalServer, database: str, clean: None
) -> None:
    with server.cluster.session() as cursor:
        cursor.execute("CREATE ROLE reader")
    sql("GRANT SELECT ON orders TO reader")
    backup = back_up(project)
    with server.cluster.session(name_of(database)) as cursor:
        cursor.execute("DROP OWNED BY reader; DROP ROLE reader")
    said = run("restore", backup.folder, exits=1).err
    assert 'CREATE ROLE "reader";' in said
    assert "--no-owner" in said
    run("restore", backup.folder, "--no-owner", "--into", "second")
    assert query(beside(database, "second"), "SELECT count(*) FROM orders") == [(2000,)]


def test_an_older_backup_is_checked_on_its_own_major(
    external_server: Callable[[int], ExternalServer],
    toy: Toy,
    run: Command,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The project and its database have moved on: another server, another revision."""
    old = external_server(16)
    with monkeypatch.context() as past:
        past.setenv("DATABASE_URL", old.url(old.create("past")))
        toy.run("upgrade", "head")
        backup = back_up(Project.load(toy.ini), prove=False)
    new_column = "op.add_column('orders', sa.Column('x', sa.Text()))"
    toy.revision("002_more", new_column, down="001_tables")
    toy.run("upgrade", "head")
    assert run("restore", backup.folder, "--check", "--json").json["good"]
    assert backup.manifest.surroundings.major == 16
    old.drop("past")


def test_a_backup_that_was_moved(run: Command, backup: Backup, tmp_path: Path) -> None:
    shutil.move(backup.folder, tmp_path / "elsewhere")
    run("restore", tmp_path / "elsewhere", "--check")
    assert "is no backup" in run("restore", "nowhere", "--check", exits=1).err


def test_the_latest_is_never_that_of_another_database(
    run: Command,
    backup: Backup,
    database: str,
    server: ExternalServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = server.create("other")
    monkeypatch.setenv("DATABASE_URL", server.url(other))
    assert "no backup of other" in run("restore", "latest", exits=1).err
    server.drop(other)
