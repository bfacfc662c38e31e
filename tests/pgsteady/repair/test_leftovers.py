"""What killed runs leave lying is found and removed; what is in use stays."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest

from pgsteady.repair.leftovers import UPGRADES
from pgsteady.server.private import PREFIX
from servers import ExternalServer
from toy import Project

Repair = Callable[..., Any]
Sql = Callable[..., list[tuple[object, ...]]]
Names = Callable[[], list[object]]

SERVER = """
import sys
from pgsteady.server import private_server
with private_server(18) as cluster:
    print(cluster.folder.parent, flush=True)
    sys.stdin.read()
"""


def make_old(folder: Path) -> None:
    """Let a folder look as if nobody had touched it for a minute."""
    then = time.time() - 60
    os.utime(folder, (then, then))


def mended(report: Any) -> set[str]:
    return {one["object"] for one in report["repairs"]}


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of this test's own, for the programs that it starts too."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def served() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A program with a private server, and the server's folder."""
    program = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    yield program, Path(program.stdout.readline().strip())
    program.communicate()


def test_a_private_server_goes_only_when_nobody_guards_it(
    project: Project,
    database: str,
    repair: Repair,
    served: tuple[subprocess.Popen[str], Path],
) -> None:
    program, folder = served
    make_old(folder)
    assert str(folder) not in mended(repair())
    assert (folder / "server" / "data" / "postmaster.pid").exists()
    guards = [p for p in psutil.Process(program.pid).children() if str(folder) in p.cmdline()]
    for process in (*guards, psutil.Process(program.pid)):
        process.kill()
    program.wait()
    repair()  # or another one, at work on this computer at the same time
    assert not folder.exists()
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(folder) in str(p.info)]


def test_folders(project: Project, database: str, repair: Repair, temporary: Path) -> None:
    backups = project.folder / "backups"
    for place in (temporary / f"{PREFIX}young", backups / "used.partial"):
        place.mkdir(parents=True)
    gone = [
        temporary / f"{PREFIX}old",
        temporary / f"{UPGRADES}old",
        temporary / f"pgsteady-restore-{os.geteuid()}" / "r.partial",
        backups / "killed.partial",
    ]
    for place in gone:
        place.mkdir(parents=True)
        make_old(place)
    lock = os.open(backups / "used.partial", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert mended(repair()) >= set(map(str, gone))
    os.close(lock)
    assert not [place for place in gone if place.exists()]
    assert (backups / "used.partial").exists()
    assert (temporary / f"{PREFIX}young").exists()


def test_scratch_schemas_and_databases(
    project: Project,
    database: str,
    sql: Sql,
    repair: Repair,
    external_server: Callable[[], ExternalServer],
) -> None:
    sql("CREATE SCHEMA pgsteady_scratch_0; CREATE TABLE pgsteady_scratch_0.a (id int)")
    sql("CREATE SCHEMA pgsteady_scratch_mine")
    server = external_server()
    left = server.create("pgsteady_unfinished_left")
    used = server.create("pgsteady_unfinished_used")
    with closing(psycopg2.connect(server.url(used))):
        found = mended(repair())
    assert found >= {"schema pgsteady_scratch_0", f"database {left}"}
    schemas = "SELECT nspname::text FROM pg_namespace WHERE nspname ~ 'scratch'"
    assert sql(schemas) == [("pgsteady_scratch_mine",)]
    names = "SELECT datname::text FROM pg_database WHERE datname ~ 'unfinished'"
    assert sql(names) == [(used,)]
    server.drop(used)


def test_a_run_that_never_said_how_it_ended(
    project: Project, database: str, sql: Sql, repair: Repair
) -> None:
    project.revision("001_a")
    project.run("upgrade", "head")
    sql("INSERT INTO pgsteady.upgrade (from_revisions, to_revisions) VALUES ('{}', '{001_a}')")
    assert "table pgsteady.upgrade" in mended(repair())
    assert sql("SELECT outcome, ended_at IS NULL FROM pgsteady.upgrade") == [("died", False)]


def test_invalid_indexes(
    project: Project, database: str, sql: Sql, repair: Repair, invalid: Names
) -> None:
    sql("CREATE TABLE a (id int, b int); INSERT INTO a SELECT 1, n FROM generate_series(1, 9) n")
    sql("CREATE INDEX ix_b ON a (b)")
    with pytest.raises(psycopg2.Error):
        concurrently(database, "CREATE UNIQUE INDEX CONCURRENTLY ix_id ON a (id)")
    broken_off(database, "REINDEX INDEX CONCURRENTLY ix_b")
    assert [name for name in invalid() if str(name).startswith("ix_b_cc")]
    (left,) = repair(exits=1)["remaining"]
    assert left["object"] == "index ix_id of a"
    assert invalid() == ["ix_id"]
    sql("DELETE FROM a WHERE b > 1")
    repair()
    assert invalid() == []
    assert sql("SELECT to_regclass('ix_id')::text") == [("ix_id",)]


def test_an_index_that_is_not_ours_names_the_line_for_its_owner(
    project: Project,
    database: str,
    repair: Repair,
    external_server: Callable[[], ExternalServer],
) -> None:
    with external_server().cluster.session(database.rpartition("/")[2]) as cursor:
        cursor.execute("CREATE TABLE theirs (id int)")
        cursor.execute("INSERT INTO theirs VALUES (1), (1)")
        with pytest.raises(psycopg2.Error):
            cursor.execute("CREATE UNIQUE INDEX CONCURRENTLY ix_theirs ON theirs (id)")
    (left,) = repair(exits=1)["remaining"]
    assert left["sql"] == "REINDEX INDEX CONCURRENTLY ix_theirs;"


def test_it_names_whom_it_waits_for(
    project: Project, database: str, sql: Sql, invalid: Names
) -> None:
    sql("CREATE TABLE a (id int); INSERT INTO a VALUES (1), (1)")
    with pytest.raises(psycopg2.Error):
        concurrently(database, "CREATE UNIQUE INDEX CONCURRENTLY ix_id ON a (id)")
    sql("DELETE FROM a")
    with closing(psycopg2.connect(database)) as other:
        other.cursor().execute("SELECT count(*) FROM a")
        program = subprocess.Popen(
            [sys.executable, "-m", "pgsteady", "-c", project.ini, "repair"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert program.stderr is not None
        said = next(line for line in program.stderr if line.startswith("Waiting for"))
        assert f"pid {other.info.backend_pid}: " in said
        other.rollback()
        program.communicate()
    assert program.returncode == 0
    assert invalid() == []


def concurrently(url: str, statement: str) -> None:
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        connection.cursor().execute(statement)


def broken_off(url: str, statement: str) -> None:
    """Run a statement that waits for a transaction, and cancel it there."""
    with closing(psycopg2.connect(url)) as other, closing(psycopg2.connect(url)) as worker:
        other.cursor().execute("SELECT * FROM a")
        worker.autocommit = True

        def work() -> None:
            with pytest.raises(psycopg2.Error):
                worker.cursor().execute(statement)

        thread = threading.Thread(target=work)
        thread.start()
        with closing(psycopg2.connect(url)) as watcher, watcher.cursor() as cursor:
            watcher.autocommit = True
            waiting = "SELECT wait_event FROM pg_stat_activity WHERE pid = %s"
            while cursor.execute(waiting, [worker.info.backend_pid]) or cursor.fetchall() != [
                ("virtualxid",)
            ]:
                time.sleep(0.02)
            cursor.execute("SELECT pg_cancel_backend(%s)", [worker.info.backend_pid])
        thread.join()


def test_sessions_of_killed_migrators(
    project: Project, database: str, sql: Sql, repair: Repair, invalid: Names
) -> None:
    """The server builds the index for a client that is gone, and waits for ever."""
    project.revision("001_a", 'op.execute("CREATE TABLE a (id int)")')
    project.run("upgrade", "head")
    project.revision(
        "002_b",
        "with op.get_context().autocommit_block():\n"
        '        op.execute("CREATE INDEX CONCURRENTLY ix_id ON a (id)")',
        down="001_a",
    )
    with closing(psycopg2.connect(database)) as other:
        other.set_session(isolation_level="REPEATABLE READ")
        other.cursor().execute("SELECT * FROM a")
        migrator = project.process("upgrade", "head")
        building = "SELECT pid FROM pg_stat_progress_create_index WHERE phase ~ 'waiting'"
        while not sql(building):
            time.sleep(0.02)
        migrator.send_signal(signal.SIGKILL)
        migrator.communicate()
        assert sql(building)
        with ThreadPoolExecutor() as pool:
            repaired = pool.submit(repair)
            while sql(building):  # the session is ended; dropping the index waits too
                time.sleep(0.02)
            other.rollback()
            objects = mended(repaired.result())
    assert any(one.startswith("session ") for one in objects)
    assert "revision 002_b" in objects
    assert sql("SELECT to_regclass('ix_id')") == [(None,)]
    project.run("upgrade", "head")
    assert invalid() == []
