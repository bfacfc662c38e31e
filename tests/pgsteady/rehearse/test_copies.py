"""On what is rehearsed: a backup, a staging database, the server's files; on both majors."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from jobs import ADD, DROP, Rehearse

from pgsteady.backup import Backup, back_up
from pgsteady.errors import RehearsalFailed
from pgsteady.project import Project
from pgsteady.server import BUNDLED_MAJORS, Cluster
from pgsteady.server.lock import wait_until
from servers import THROWAWAY, ExternalServer, free_port
from toy import Project as Toy

MAJORS = [pytest.param(16, marks=pytest.mark.slow), 18]


@pytest.fixture(params=MAJORS)
def database(
    fresh_database: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> str:
    """An empty database on a server of each major version."""
    url = fresh_database(request.param)
    monkeypatch.setenv("DATABASE_URL", url)
    return url


@pytest.fixture
def server(
    request: pytest.FixtureRequest, external_server: Callable[..., ExternalServer], database: str
) -> ExternalServer:
    """The server that ``database`` is on."""
    (found,) = [s for s in map(external_server, BUNDLED_MAJORS) if str(s.port) in database]
    return found


@pytest.fixture
def staging(server: ExternalServer, database: str, filled: Toy) -> Iterator[str]:
    """A copy of ``database`` beside it."""
    assert filled
    name = "staging"
    with server.cluster.session() as cursor:
        cursor.execute(
            f'CREATE DATABASE {name} TEMPLATE "{database.rpartition("/")[2]}" OWNER orion'
        )
    yield server.url(name)
    server.drop(name)


def columns(url: str) -> list[str]:
    query = "SELECT column_name FROM information_schema.columns WHERE table_name = 'jobs'"
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        found = [name for (name,) in cursor.fetchall()]
    connection.close()
    return found


def test_a_fresh_backup(filled: Toy, rehearsed: Rehearse) -> None:
    filled.revision("b", ADD, DROP, down="a")
    rehearsal = rehearsed()
    assert rehearsal.go, rehearsal.reasons
    assert "restored and compared" in rehearsal.copy


@pytest.mark.slow
def test_an_older_backup(filled: Toy, rehearsed: Rehearse) -> None:
    filled.revision("b", ADD, DROP, down="a")
    backup = back_up(Project.load(filled.ini), prove=False)
    assert rehearsed(backup=backup.folder).go
    filled.run("upgrade", "b")
    filled.revision("c", "pass", "pass", down="b")
    with pytest.raises(RehearsalFailed, match="The copy has a, the live database b"):
        rehearsed(backup=backup.folder)


def test_a_staging_database_keeps_the_change(
    filled: Toy, rehearsed: Rehearse, staging: str, database: str
) -> None:
    filled.revision("b", ADD, DROP, down="a")
    rehearsal = rehearsed(on=staging)
    assert rehearsal.go, rehearsal.reasons
    assert "keeps the change" in rehearsal.copy
    assert "done" in columns(staging)
    assert "done" not in columns(database)


def test_a_smaller_staging_database(
    filled: Toy, rehearsed: Rehearse, staging: str, sql: Callable[..., object]
) -> None:
    filled.revision("b", ADD, DROP, down="a")
    sql("INSERT INTO jobs SELECT i, 'more', i FROM generate_series(10000, 60000) AS i")
    rehearsal = rehearsed(on=staging)
    assert rehearsal.basis.ratios["public.jobs"] > 5
    (statement,) = rehearsal.steps[0].statements
    assert rehearsal.live_ms(statement) > 5 * statement.ms


def test_a_staging_database_of_another_schema(
    filled: Toy, rehearsed: Rehearse, staging: str, sql: Callable[..., object]
) -> None:
    filled.revision("b", ADD, DROP, down="a")
    sql("ALTER TABLE notes ADD by_hand int")
    with pytest.raises(RehearsalFailed, match=r"another schema.*table notes"):
        rehearsed(on=staging)


def test_the_live_database_is_no_staging(filled: Toy, rehearsed: Rehearse, database: str) -> None:
    filled.revision("b", ADD, DROP, down="a")
    with pytest.raises(RehearsalFailed, match="live database itself"):
        rehearsed(on=database.replace("127.0.0.1", "localhost"))
    assert "done" not in columns(database)


@pytest.fixture
def replica(server: ExternalServer, database: str, server_folder: Path) -> Iterator[str]:
    """The database as a standby of its server has it."""
    standby = Cluster(server_folder / "standby", server.cluster.binaries)
    standby.create(password=server.cluster.password)
    shutil.rmtree(standby.data)
    copied = standby.account.run(
        [
            standby.programs(standby.account).program("pg_basebackup"),
            "--write-recovery-conf",
            "--checkpoint=fast",
            f"--pgdata={standby.data}",
            f"--host={server.cluster.socket_folder}",
            f"--port={server.cluster.port}",
            "--username=postgres",
        ],
        environment={"PGPASSWORD": server.cluster.password},
    )
    assert copied.returncode == 0, copied.stdout
    port = free_port()
    standby.start(THROWAWAY, port=port)
    yield re.sub(r":\d+/", f":{port}/", database)
    standby.stop()


@pytest.mark.slow
def test_a_replica_is_copied(filled: Toy, rehearsed: Rehearse, replica: str, database: str) -> None:
    filled.revision("b", ADD, DROP, down="a")
    with psycopg2.connect(database) as live, psycopg2.connect(replica) as standby:
        wait_until(lambda: position(standby) >= position(live), 30)
    live.close()
    standby.close()
    rehearsal = rehearsed(on=replica)
    assert rehearsal.go, rehearsal.reasons
    assert rehearsal.backup is not None
    port = re.findall(r":(\d+)/", replica)[0]
    assert Backup(rehearsal.backup).manifest.address == f"127.0.0.1:{port}"


def position(connection: Any) -> int:
    """Return up to where the server's log was written, or replayed."""
    query = (
        "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() "
        "ELSE pg_current_wal_lsn() END - '0/0'"
    )
    with connection.cursor() as cursor:
        cursor.execute(query)
        ((found,),) = cursor.fetchall()
    return int(found)


@pytest.mark.slow
def test_a_physical_copy(filled: Toy, rehearsed: Rehearse, server: ExternalServer) -> None:
    filled.revision("b", ADD, DROP, down="a")
    with pytest.raises(RehearsalFailed, match="ALTER ROLE orion REPLICATION"):
        rehearsed(physical=True)
    with server.cluster.session() as cursor:
        cursor.execute("ALTER ROLE orion REPLICATION")
    try:
        rehearsal = rehearsed(physical=True)
    finally:
        with server.cluster.session() as cursor:
            cursor.execute("ALTER ROLE orion NOREPLICATION")
    assert rehearsal.go, rehearsal.reasons
    assert "physical copy" in rehearsal.copy
    assert rehearsal.backup is None
    assert not list(Path(filled.folder).glob("backups"))
