"""Backups: one moment, proved, and whole or not there."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import psycopg2
import pytest
import zstandard
from foreign_project import ForeignProject
from orders import EVERYTHING, Command, Sql, query

from pgsteady.backup import (
    Backup,
    back_up,
    backup_folder,
    backups,
    client_for,
    environment,
    proved,
    restored,
)
from pgsteady.errors import BackupFailed, ClusterError
from pgsteady.progress import Advance, Silent
from pgsteady.project import Project
from pgsteady.server import BUNDLED_MAJORS
from pgsteady.url import parse
from servers import ExternalServer
from toy import Project as Toy

on_each_major = pytest.mark.parametrize("major", BUNDLED_MAJORS, indirect=True)


@on_each_major
@pytest.mark.parametrize("form", ["directory", "custom"])
def test_it_restores_to_what_was_there(project: Project, sql: Sql, form: str) -> None:
    before = sql(EVERYTHING)
    backup = back_up(project, form=form)
    sql("DELETE FROM orders; UPDATE customers SET name = 'gone'")
    with restored(backup, project) as copy:
        assert query(copy.libpq(), EVERYTHING) == before
    assert backup.manifest.rows == {
        "public.Odd Names": 2,
        "public.customers": 300,
        "public.orders": 2000,
    }
    assert backup.manifest.revisions == ("001_tables",)
    assert backup.manifest.proved


def test_nobody_else_may_read_it(backup: Backup) -> None:
    for path in [backup.folder.parent, backup.folder, *backup.folder.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_the_manifest_holds_no_password(backup: Backup) -> None:
    password = os.environ["DATABASE_URL"].split(":")[2].split("@")[0]
    text = (backup.folder / "manifest.json").read_text()
    assert password not in text
    assert "p%a@b" not in text


@pytest.mark.slow
def test_dump_and_digests_show_one_moment(project: Project, database: str) -> None:
    """Somebody writes all the time; the proof would fail if two moments were compared."""
    ended = Event()

    def write() -> None:
        while not ended.is_set():
            query(
                database,
                "INSERT INTO customers (name) VALUES ('new'); "
                "INSERT INTO orders (id, customer_id) SELECT max(id) + 1, 1 FROM orders; "
                "UPDATE orders SET paid = 1 WHERE id % 10 = 0",
            )

    writer = Thread(target=write)
    writer.start()
    try:
        for _ in range(3):
            assert back_up(project).manifest.proof
    finally:
        ended.set()
        writer.join()


def test_the_copy_that_proves_it_is_lent(project: Project, sql: Sql) -> None:
    with proved(project) as (backup, copy):
        assert backups(backup_folder(project.ini)) == [backup]
        assert query(copy.libpq(), "SELECT count(*) FROM orders") == [(2000,)]
    with pytest.raises(psycopg2.OperationalError):
        query(copy.libpq(), "SELECT 1")
    assert backup.manifest.proved


def test_an_altered_table_is_waited_for_and_the_blocker_named(
    project: Project, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgsteady.backup.snapshot.PATIENCE_S", 0)
    blocker = psycopg2.connect(database, application_name="a tool")
    with blocker.cursor() as cursor:
        cursor.execute("LOCK TABLE orders")
        with pytest.raises(
            Exception, match=rf"pid {blocker.info.backend_pid} \(orion, a tool.*orders"
        ):
            back_up(project)
    blocker.close()
    assert backups(backup_folder(project.ini)) == []


@pytest.mark.slow
def test_who_wants_to_alter_a_table_while_it_is_dumped_is_named(
    project: Project, database: str
) -> None:
    """Behind that one, pg_dump does not get at the table."""
    alone = psycopg2.connect(database, application_name="another migration")

    class Altering(Silent):
        @contextmanager
        def step(self, title: str, total: float | None = None) -> Iterator[Advance]:
            if title == "Dump":
                Thread(target=lock).start()
                look = "SELECT count(*) FROM pg_locks WHERE NOT granted"
                while query(database, look) == [(0,)]:
                    time.sleep(0.01)
            yield lambda done: None

    def lock() -> None:
        with alone.cursor() as cursor:
            cursor.execute("LOCK TABLE orders")
        alone.close()

    with pytest.raises(BackupFailed, match="another migration"):
        back_up(project, progress=Altering())


def test_what_this_role_may_not_read_is_named(
    project: Project, server: ExternalServer, database: str
) -> None:
    with server.cluster.session(database.rpartition("/")[2]) as cursor:
        cursor.execute("CREATE TABLE secret (id int)")
    with pytest.raises(BackupFailed, match="GRANT pg_read_all_data TO orion;"):
        back_up(project)


def test_rows_that_this_role_may_not_see_are_named(project: Project, sql: Sql) -> None:
    """A dump without them would be a silent loss."""
    sql("ALTER TABLE orders ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    with pytest.raises(BackupFailed, match="ALTER ROLE orion BYPASSRLS;"):
        back_up(project)


def test_owners_and_grants_of_other_roles_come_along(
    project: Project, server: ExternalServer, database: str
) -> None:
    look = """
        SELECT relname::text, pg_get_userbyid(relowner)::text, relacl::text FROM pg_class
        WHERE relname IN ('orders', 'other') ORDER BY 1
    """
    with server.cluster.session(database.rpartition("/")[2]) as cursor:
        cursor.execute('CREATE ROLE "Read er"; GRANT SELECT ON orders TO "Read er"')
        cursor.execute("CREATE TABLE other (id int); GRANT SELECT ON other TO orion")
        try:
            before = query(database, look)
            with proved(project) as (_, copy):
                assert query(copy.libpq(), look) == before
        finally:
            cursor.execute('DROP TABLE other; DROP OWNED BY "Read er"; DROP ROLE "Read er"')


def test_an_invalid_index_is_no_reason_to_refuse(project: Project, sql: Sql, database: str) -> None:
    connection = psycopg2.connect(database)
    connection.autocommit = True
    with connection.cursor() as cursor, pytest.raises(psycopg2.errors.UniqueViolation):
        cursor.execute("CREATE UNIQUE INDEX CONCURRENTLY half ON orders (customer_id)")
    connection.close()
    assert back_up(project).manifest.proved


def test_the_folder_is_named_in_three_ways(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert backup_folder(toy.ini) == toy.folder / "backups"
    toy.ini.write_text(toy.ini.read_text() + "\n[pgsteady]\nbackups = 100%/of\n")
    assert backup_folder(toy.ini) == toy.folder / "100%" / "of"
    monkeypatch.setenv("PGSTEADY_BACKUPS", "/else/where")
    assert backup_folder(toy.ini) == Path("/else/where")


@pytest.mark.slow
def test_the_commands_make_list_and_check(run: Command, toy: Toy) -> None:
    assert "No backups" in run("backup", "--list").out
    made = run("backup", "--no-proof", "--json").json["backup"]
    assert not made["proved"]
    assert run("restore", "latest", "--check", "--json").json["good"]
    (listed,) = run("backup", "--list", "--json").json["backups"]
    assert listed == made | {"proved": True}
    out = run("backup", "--format", "custom").out
    assert "2,302 rows in 3 tables" in out
    assert len(run("backup", "--list").out.strip().splitlines()) > 3


def test_it_is_proved_on_a_server_that_is_named(
    run: Command, server: ExternalServer, template: None
) -> None:
    databases = "SELECT datname FROM pg_database ORDER BY 1"
    before = query(server.url("postgres"), databases)
    assert run("backup", "--on", server.url("postgres"), "--json").json["backup"]["proved"]
    assert run("restore", "latest", "--check", "--on", server.url("postgres"), "--json").json[
        "good"
    ]
    assert query(server.url("postgres"), databases) == before


@pytest.mark.parametrize("name", ["shop", pytest.param("lab", marks=pytest.mark.slow)])
def test_somebody_elses_project(
    name: str, tmp_path: Path, fresh_database: Callable[..., str]
) -> None:
    """With an env.py as Alembic makes it, sync or async, schemas, enums, views and triggers."""
    url = fresh_database()
    theirs = ForeignProject(name, tmp_path / name, url)
    theirs.run("alembic", "upgrade", "heads")
    assert json.loads(theirs.run("pgsteady", "backup", "--json"))["backup"]["proved"]
    assert json.loads(theirs.run("pgsteady", "restore", "latest", "--check", "--json"))["good"]


def test_what_the_bundled_server_lacks_is_said(project: Project, backup: Backup) -> None:
    surroundings = backup.manifest.surroundings
    lacking = replace(surroundings, extensions={**surroundings.extensions, "postgis": "3.5"})
    backup.write(replace(backup.manifest, surroundings=lacking))
    with pytest.raises(ClusterError, match="no extension postgis"), restored(backup, project):
        pass
    backup.write(replace(backup.manifest, surroundings=replace(surroundings, major=19)))
    with pytest.raises(ClusterError, match="of PostgreSQL 19"), restored(backup, project):
        pass


def test_text_in_another_encoding(
    server: ExternalServer, toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server.cluster.session() as cursor:
        cursor.execute(
            "CREATE DATABASE latin OWNER orion TEMPLATE template0 ENCODING 'LATIN1' "
            "LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER libc"
        )
    monkeypatch.setenv("DATABASE_URL", server.url("latin"))
    toy.revision("001_tables", "op.execute('CREATE TABLE words (word text)')")
    toy.run("upgrade", "head")
    query(server.url("latin"), "INSERT INTO words VALUES ('Größe'), (U&'\\00C5ngstr\\00F6m')")
    with proved(Project.load(toy.ini)) as (_, copy):
        look = "SELECT string_agg(word, ' ' ORDER BY word) FROM words"
        assert query(copy.libpq(), look) == query(server.url("latin"), look)
    server.drop("latin")


def test_an_empty_database_without_any_revision(
    project: Project, fresh_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", fresh_database())
    backup = back_up(project)
    assert backup.manifest.proved
    assert backup.manifest.revisions == ()
    assert "no-revision" in backup.folder.name


def test_it_is_good_without_us(
    backup: Backup, sql: Sql, server: ExternalServer, tmp_path: Path
) -> None:
    """By zstd and pg_restore alone."""
    plain = tmp_path / "plain"
    plain.mkdir()
    for file in backup.files.iterdir():
        with file.open("rb") as packed, (plain / file.stem).open("wb") as unpacked:
            zstandard.ZstdDecompressor().copy_stream(packed, unpacked)
    there = parse(server.url(server.create("plain", extension=False)), "a test")
    restore = [client_for("pg_restore", there), "--jobs=2", "--dbname=plain", plain]
    as_superuser = {"PGUSER": "postgres", "PGPASSWORD": server.cluster.password}
    subprocess.run(restore, check=True, env=environment(there) | as_superuser)
    assert query(there.libpq(), EVERYTHING) == sql(EVERYTHING)
    server.drop("plain")


@pytest.mark.slow
def test_two_at_once(toy: Toy) -> None:
    command = [sys.executable, "-m", "pgsteady", "backup", "--no-proof", "--json"]
    runs = [
        subprocess.Popen(command, cwd=toy.folder, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    made = {json.loads(run.communicate()[0])["backup"]["folder"] for run in runs}
    assert {str(path) for path in backup_folder(toy.ini).iterdir()} == made
    assert len(made) == 3
