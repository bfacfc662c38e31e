"""Faults of a whole server, injected into one of our own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import psycopg2
import pytest
from examined import Doctor, shown
from psycopg2.extras import PhysicalReplicationConnection

from pgsteady.server import Cluster, bundled
from servers import THROWAWAY, free_port, open_folder
from toy import Project


class OwnServer:
    """A server on a disk of its own, where that can be had, whose administrator we are."""

    def __init__(self, folder: Path) -> None:
        self.cluster = Cluster(folder / "server", bundled())
        self.cluster.create()
        self.port = free_port()
        self.start()
        self.url = self.url_for("postgres", quote(self.cluster.password))

    def start(self) -> None:
        settings = THROWAWAY | {"max_prepared_transactions": "2"}
        self.cluster.start(settings, port=self.port)

    def url_for(self, role: str, password: str) -> str:
        return f"postgresql://{role}:{password}@127.0.0.1:{self.port}/postgres"

    def write(self, megabytes: int) -> None:
        """Write that much WAL, a segment of 16 MB at a time."""
        with self.cluster.session() as cursor:
            for _ in range(megabytes // 16):
                cursor.execute("SELECT pg_logical_emit_message(false, 'x', 'y'), pg_switch_wal()")


@pytest.fixture(scope="module")
def small_disk() -> Iterator[Path | None]:
    """A disk of 400 MB, None where we may not mount one."""
    folder = open_folder()
    command = ["mount", "-t", "tmpfs", "-o", "size=400m,mode=711", "tmpfs", str(folder)]
    mounted = subprocess.run(command, check=False, capture_output=True).returncode == 0
    yield folder if mounted else None
    if mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def server(small_disk: Path | None) -> Iterator[OwnServer]:
    folder = small_disk or open_folder()
    server = OwnServer(folder)
    yield server
    server.cluster.stop()
    if folder != small_disk:
        shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def migrated(project: Project, server: OwnServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", server.url)
    project.run("upgrade", "head")


def test_a_disk_that_is_nearly_full(
    server: OwnServer, doctor: Doctor, small_disk: Path | None
) -> None:
    if small_disk is None:
        pytest.skip("we may not mount a small disk here")
    (finding,) = doctor().results["disk"].answer.findings
    assert (shown(finding).code, finding.object) == ("disk-nearly-full", str(server.cluster.data))
    assert "of 400 MiB are free" in finding.message


def test_a_prepared_transaction(server: OwnServer, doctor: Doctor) -> None:
    with closing(psycopg2.connect(server.url)) as other:
        other.cursor().execute("LOCK TABLE a; PREPARE TRANSACTION 'left'")
    (finding,) = doctor().results["transactions"].answer.findings
    assert shown(finding).code == "prepared-transaction"
    with server.cluster.session() as cursor:
        cursor.execute(finding.sql)
    assert doctor().state("transactions") == "ok"


def test_a_standby_that_is_far_behind(
    server: OwnServer, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server.cluster.session() as cursor:
        cursor.execute("SELECT pg_current_wal_lsn()::text, pg_switch_wal()::text")
        cursor.execute("CREATE ROLE watcher LOGIN PASSWORD 'x'")
    standby = psycopg2.connect(
        server.url, application_name="reserve", connection_factory=PhysicalReplicationConnection
    )
    with closing(standby), standby.cursor() as stream:
        with server.cluster.session() as cursor:
            cursor.execute("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")
            ((here,),) = cursor.fetchall()
        stream.start_replication(start_lsn=int(here))
        stream.send_feedback(flush_lsn=int(here), apply_lsn=int(here), force=True)
        assert doctor().detail("replication") == "reserve"
        server.write(80)
        (finding,) = doctor().results["replication"].answer.findings
        assert (shown(finding).code, finding.object) == ("standby-behind", "reserve")
        monkeypatch.setenv("DATABASE_URL", server.url_for("watcher", "x"))
        assert "GRANT pg_monitor TO watcher;" in doctor().detail("replication")
        assert doctor().state("replication") == "not known"


def test_a_slot_that_nobody_reads(server: OwnServer, doctor: Doctor) -> None:
    with server.cluster.session() as cursor:
        cursor.execute("SELECT pg_create_physical_replication_slot('old', true)")
        server.write(80)
        (finding,) = doctor().results["replication"].answer.findings
        assert (shown(finding).code, "of WAL" in finding.message) == ("idle-slot", True)
        cursor.execute(finding.sql)
    assert doctor().state("replication") == "ok"


def test_a_standby_takes_no_change(server: OwnServer, doctor: Doctor) -> None:
    server.cluster.stop()
    signal = server.cluster.data / "standby.signal"
    signal.touch()
    os.chown(signal, server.cluster.account.uid, server.cluster.account.gid)
    server.start()
    (finding,) = doctor().results["version"].answer.findings
    assert (shown(finding).code, "primary" in finding.cure) == ("standby", True)
    assert doctor().state("replication") == "not known"
    server.cluster.stop()
    signal.unlink()
    server.start()
