"""A revision outside of transactions meets a fault in the middle; one command recovers."""

from __future__ import annotations

import select
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from servers import ROLE, ExternalServer, open_folder
from toy import Project

Repair = Callable[..., Any]
Sql = Callable[..., list[tuple[object, ...]]]

pytestmark = pytest.mark.slow

BUILD = "CREATE INDEX CONCURRENTLY ix_b ON a (b)"
FILL = """DO $$ BEGIN FOR n IN 0..99 LOOP
    UPDATE a SET c = repeat('x', 500) WHERE id % 100 = n AND c IS NULL; COMMIT;
    END LOOP; PERFORM pg_advisory_xact_lock(42); END $$"""
"""It waits for the test at its end, and nowhere else."""
COLUMNS = (
    "SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute "
    "WHERE attrelid = 'a'::regclass AND attnum > 0 AND NOT attisdropped"
)
CONTENT = "SELECT count(*), sum(id), sum(b) FROM a"


@pytest.fixture
def filled(project: Project, database: str, sql: Sql) -> Project:
    """A project at 001, with rows; 002 adds a column outside of transactions and goes on."""
    project.revision("001_a", "op.execute('CREATE TABLE a (id int PRIMARY KEY, b int)')")
    project.run("upgrade", "head")
    sql("INSERT INTO a SELECT n, n FROM generate_series(1, 20000) n")
    return project


def goes_on_with(project: Project, statement: str) -> None:
    project.revision(
        "002_b",
        "with op.get_context().autocommit_block():\n"
        "        op.execute('ALTER TABLE a ADD c text')\n"
        f"        op.execute({statement!r})",
        down="001_a",
    )


@pytest.mark.parametrize("fault", ["client killed", "server killed", "connection cut"])
@pytest.mark.parametrize("statement", [BUILD, FILL], ids=["index", "rows"])
def test_killed_or_cut(
    filled: Project,
    database: str,
    sql: Sql,
    repair: Repair,
    external_server: Callable[[], ExternalServer],
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    statement: str,
) -> None:
    goes_on_with(filled, statement)
    before = sql(CONTENT)
    server = external_server()
    with (
        closing(psycopg2.connect(database)) as other,
        relay(server.port) as (port, cut),
    ):
        other.set_session(isolation_level="REPEATABLE READ")
        other.cursor().execute(
            "SELECT FROM pg_class" if statement == BUILD else "SELECT pg_advisory_xact_lock(42)"
        )
        monkeypatch.setenv("DATABASE_URL", database.replace(f":{server.port}/", f":{port}/"))
        migrator = filled.process("upgrade", "head")
        monkeypatch.setenv("DATABASE_URL", database)
        in_the_middle = (
            "SELECT 1 FROM pg_stat_progress_create_index WHERE phase ~ 'waiting'"
            if statement == BUILD
            else "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'advisory'"
        )
        while not sql(in_the_middle):
            time.sleep(0.02)
        if fault == "client killed":
            migrator.send_signal(signal.SIGKILL)
        elif fault == "connection cut":
            cut()
        else:
            server.crash()
        _, log = migrator.communicate()
        assert "Traceback" not in log, log
        if fault == "server killed":
            server.start_again()
        else:
            other.rollback()
    assert not repair()["remaining"]
    assert sql(COLUMNS) == [("id b",)]
    assert sql("SELECT to_regclass('ix_b')") == [(None,)]
    assert sql(CONTENT) == before
    filled.run("upgrade", "head")
    assert sql("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [(0,)]
    assert repair()["repairs"] == []


@pytest.mark.parametrize("finish", [False, True], ids=["undone", "finished"])
@pytest.mark.parametrize("statement", [f"{BUILD} TABLESPACE small", FILL], ids=["index", "rows"])
def test_disk_full(
    filled: Project,
    database: str,
    sql: Sql,
    repair: Repair,
    small: Path,
    statement: str,
    finish: bool,
) -> None:
    if statement == FILL:
        sql("ALTER TABLE a SET TABLESPACE small")
    goes_on_with(filled, statement)
    room = small / "room"
    room.write_bytes(bytes(shutil.disk_usage(small).free - 300_000))
    migrator = filled.process("upgrade", "head")
    _, log = migrator.communicate()
    assert "could not extend file" in log, log
    if finish:
        repair(finish=True, exits=1)
    room.unlink()
    assert not repair(finish=finish)["remaining"]
    assert sql(COLUMNS) == [("id b c",) if finish else ("id b",)]
    filled.run("upgrade", "head")
    assert filled.run("current") == "002_b (head)\n"
    filled_rows = [(20000,)] if statement == FILL else [(0,)]
    assert sql("SELECT count(c) FROM a") == filled_rows
    assert sql("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [(0,)]


@pytest.fixture
def small(database: str, external_server: Callable[[], ExternalServer]) -> Iterator[Path]:
    """A disk of 30 MB, with the tablespace ``small`` on it."""
    disk = open_folder()
    mount = ["mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        disk.rmdir()
        pytest.skip("only root mounts a disk of its own")
    server = external_server()
    place = disk / "tablespace"
    place.mkdir()
    server.cluster.account.own(place)
    disk.chmod(0o755)
    with server.cluster.session() as cursor:
        cursor.execute(f"CREATE TABLESPACE small LOCATION '{place}'")
        cursor.execute(f"GRANT CREATE ON TABLESPACE small TO {ROLE}")
    try:
        yield disk
    finally:
        server.drop(database.rpartition("/")[2])
        with server.cluster.session() as cursor:
            cursor.execute("DROP TABLESPACE small")
        subprocess.run(["umount", str(disk)], check=True)
        disk.rmdir()


@contextmanager
def relay(port: int) -> Iterator[tuple[int, Callable[[], None]]]:
    """Relay connections to ``port``; yields our port, and what cuts them all."""
    listener = socket.create_server(("127.0.0.1", 0))
    ends: list[socket.socket] = []

    def carry(client: socket.socket) -> None:
        with suppress(OSError, ValueError):
            server = socket.create_connection(("127.0.0.1", port))
            ends.extend((client, server))
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return cut_off(client, server)
                    (server if ready is client else client).sendall(data)

    def cut_off(*sockets: socket.socket) -> None:
        for end in sockets:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=carry, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1], lambda: cut_off(*ends)
    listener.close()
    for end in ends:
        end.close()
