"""A cluster of our own: real servers, real kills."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest

import pgsteady.server.cluster as cluster_module
from pgsteady.errors import ClusterError
from pgsteady.server import BUNDLED_MAJORS, Account, Binaries, Cluster, bundled, client
from servers import THROWAWAY, free_port

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to another user")


@pytest.fixture
def make(server_folder: Path) -> Iterator[Callable[..., Cluster]]:
    """Return a function that makes a cluster, stopped after the test."""
    made: list[Cluster] = []

    def cluster(name: str = "cluster", binaries: Binaries | None = None) -> Cluster:
        made.append(Cluster(server_folder / name, binaries or bundled()))
        made[-1].create()
        return made[-1]

    yield cluster
    for one in made:
        one.lock.evict()
        if one.socket_folder != one.folder:
            shutil.rmtree(one.socket_folder, ignore_errors=True)


@pytest.fixture
def running(make: Callable[..., Cluster]) -> Cluster:
    """Return a running cluster, in which fsync is on as by default, with one committed row."""
    cluster = make()
    cluster.start()
    with cluster.session() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    return cluster


def answer(cluster: Cluster) -> object:
    with cluster.session() as cursor:
        cursor.execute("SELECT answer FROM kept")
        return cursor.fetchone()


def postmaster(cluster: Cluster) -> int:
    return int((cluster.data / "postmaster.pid").read_text().splitlines()[0])


def kill(pid: int) -> None:
    """Kill a process, and see it dead: the signal takes effect a moment later."""
    process = psutil.Process(pid)
    process.kill()
    wait_for(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("major", BUNDLED_MAJORS)
def test_a_cluster_starts_again_with_its_data(make: Callable[..., Cluster], major: int) -> None:
    cluster = make(binaries=bundled(major))
    for _ in range(2):
        cluster.start()
        with cluster.session() as cursor:
            cursor.execute("CREATE TABLE IF NOT EXISTS runs (version text)")
            cursor.execute("INSERT INTO runs SELECT current_setting('server_version_num')")
        cluster.stop()
        assert not cluster.running
    cluster.start()
    with cluster.session() as cursor:
        cursor.execute("SELECT version::int / 10000 FROM runs")
        assert cursor.fetchall() == [(major,), (major,)]


def test_starting_a_running_server_changes_nothing(running: Cluster) -> None:
    before = postmaster(running)
    running.start()
    assert postmaster(running) == before


def test_stopping_a_stopped_server_does_nothing(make: Callable[..., Cluster]) -> None:
    cluster = make()
    cluster.stop()
    assert not cluster.running


def test_a_second_create_is_refused(running: Cluster) -> None:
    with pytest.raises(ClusterError, match="already"):
        running.create()
    assert answer(running) == (42,)


def test_it_is_durable_and_closed_by_default(running: Cluster) -> None:
    with running.session() as cursor:
        cursor.execute(
            "SELECT current_setting('fsync'), current_setting('data_checksums'), "
            "current_setting('listen_addresses'), current_setting('unix_socket_permissions')"
        )
        assert cursor.fetchone() == ("on", "on", "", "0700")
    for secret in (running.folder, running.data):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o700
    assert stat.S_IMODE((running.folder / "password").stat().st_mode) == 0o600
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(host=str(running.socket_folder), user="postgres", password="guess")
    with pytest.raises(psycopg2.OperationalError, match="no password supplied"):
        psycopg2.connect(host=str(running.socket_folder), user="postgres", passfile="/dev/null")


def test_tcp_is_loopback_only_and_wants_the_password(make: Callable[..., Cluster]) -> None:
    cluster, port = make(), free_port()
    cluster.start(THROWAWAY, port=port)
    address = {"host": "127.0.0.1", "port": port, "user": "postgres"}
    with psycopg2.connect(**address, password=cluster.password) as connection:
        assert connection.info.port == port
    connection.close()
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(**address, password="guess")
    with cluster.session() as cursor:
        cursor.execute("SHOW listen_addresses")
        assert cursor.fetchone() == ("127.0.0.1",)


@pytest.mark.parametrize(
    "name",
    ["with space", "Münze-数据", 'it\'s "$HOME" `id`', "a,b", "long-" + "x" * 120],
    ids=["space", "letters", "shell", "comma", "long"],
)
def test_any_path_will_do(make: Callable[..., Cluster], name: str) -> None:
    cluster = make(name)
    cluster.start(THROWAWAY)
    with cluster.session() as cursor:
        cursor.execute("SHOW data_directory")
        assert cursor.fetchone() == (str(cluster.data),)


def test_somebody_elses_socket_folder_is_refused(
    make: Callable[..., Cluster],
) -> None:
    cluster = make("long-" + "x" * 120)
    cluster.socket_folder.mkdir(mode=0o777)
    cluster.socket_folder.chmod(0o777)
    with pytest.raises(ClusterError, match="somebody else"):
        cluster.start(THROWAWAY)
    assert not cluster.running


def test_a_killed_server_is_started_again_with_every_commit(running: Cluster) -> None:
    kill(postmaster(running))
    running.start()
    assert answer(running) == (42,)


def test_a_stale_pid_file_whose_number_was_reused(running: Cluster) -> None:
    pid_file = running.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    kill(int(lines[0]))
    wait_for(lambda: not running.running)
    innocent = subprocess.Popen(["sleep", "60"], **running.account.identity)
    try:
        pid_file.write_text("\n".join([str(innocent.pid), *lines[1:]]) + "\n")
        running.stop()
        running.start()
        assert answer(running) == (42,)
        assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()


def test_backends_that_outlive_a_killed_server_are_ended(
    running: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "ORPHANS_S", 0.3)
    orphan = psycopg2.connect(
        host=str(running.socket_folder), user="postgres", password=running.password
    )
    os.kill(orphan.info.backend_pid, signal.SIGSTOP)  # too busy to notice
    kill(postmaster(running))
    running.start()
    assert answer(running) == (42,)
    with pytest.raises(psycopg2.OperationalError):
        orphan.cursor().execute("SELECT 1")


def test_a_server_that_is_stopping_is_waited_for(running: Cluster) -> None:
    before = postmaster(running)
    os.kill(before, signal.SIGINT)
    wait_for(lambda: not running.serving)
    running.start()
    assert postmaster(running) != before
    assert answer(running) == (42,)


def test_a_half_finished_initdb_is_wiped(server_folder: Path) -> None:
    cluster = Cluster(server_folder / "cluster", bundled())
    account = Account.for_folder(cluster.folder)
    for folder in (cluster.folder, cluster.folder / "data.partial"):
        folder.mkdir(mode=0o700)
        account.own(folder)
    (cluster.folder / "data.partial" / "PG_VERSION").write_text("18\n")
    assert not cluster.exists
    cluster.create()
    cluster.start(THROWAWAY)
    assert cluster.serving
    cluster.stop()


def test_a_server_that_cannot_start_says_why(make: Callable[..., Cluster]) -> None:
    cluster = make()
    with pytest.raises(ClusterError, match="max_connections"):
        cluster.start({"max_connections": "many"})
    assert not cluster.running
    cluster.start(THROWAWAY)  # and is none the worse for it
    assert cluster.serving


def test_the_callers_environment_changes_nothing(
    make: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "PGDATA": "/nowhere",
        "PGPORT": "1",
        "PGHOST": "192.0.2.1",
        "PGUSER": "nobody",
        "LC_ALL": "xx_XX.UTF-8",
        "TZ": "Mars/Olympus",
    }.items():
        monkeypatch.setenv(name, value)
    cluster = make()
    cluster.start(THROWAWAY)
    assert cluster.serving
    with cluster.session() as cursor:
        cursor.execute("SELECT datcollate, pg_encoding_to_char(encoding) FROM pg_database")
        assert set(cursor.fetchall()) == {("C", "UTF8")}


def test_parallel_work_does_without_a_large_shared_memory(
    make: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "ROOMY_BYTES", 2**60)
    cluster = make()
    cluster.start(THROWAWAY | {"maintenance_work_mem": "512MB"})
    with cluster.session() as cursor:
        cursor.execute("SHOW dynamic_shared_memory_type")
        assert cursor.fetchone() == ("mmap",)
        cursor.execute(
            "CREATE EXTENSION vector; CREATE TABLE v AS SELECT '[1,2]'::vector(2) AS e "
            "FROM generate_series(1, 500); ALTER TABLE v SET (parallel_workers = 2); "
            "CREATE INDEX ON v USING hnsw (e vector_l2_ops)"
        )


def test_the_log_is_kept_short(make: Callable[..., Cluster]) -> None:
    cluster = make()
    cluster.log.write_text("x" * 2_000_000)
    cluster.account.own(cluster.log)
    cluster.start(THROWAWAY)
    assert cluster.log.stat().st_size < 100_000
    assert cluster.log.with_suffix(".log.1").stat().st_size == 2_000_000


def test_a_folder_that_cannot_be_used_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "cluster" / "server.lock").mkdir(parents=True)
    with pytest.raises(ClusterError, match=r"cluster cannot be used: Is a directory"):
        Cluster(tmp_path / "cluster", bundled()).lock.acquire()


def test_an_unknown_major_names_those_there_are() -> None:
    with pytest.raises(ClusterError, match=r"16 and 18"):
        bundled(12)


@pytest.mark.parametrize(("server", "fitting"), [(14, 16), (16, 16), (17, 18), (18, 18)])
def test_clients_fit_the_server(server: int, fitting: int) -> None:
    assert client("pg_dump", server) == bundled(fitting).program("pg_dump")


@as_root
def test_root_drops_to_another_user_and_leaves_permissions_alone(
    make: Callable[..., Cluster], server_folder: Path
) -> None:
    above = [server_folder, *server_folder.parents]
    before = [(p.stat().st_mode, p.stat().st_uid) for p in above]
    cluster = make()
    cluster.start(THROWAWAY)
    assert Path(f"/proc/{postmaster(cluster)}").stat().st_uid == cluster.account.uid != 0
    cluster.stop()
    assert [(p.stat().st_mode, p.stat().st_uid) for p in above] == before


@as_root
def test_a_closed_parent_is_refused_and_stays_closed(server_folder: Path) -> None:
    server_folder.chmod(0o700)
    with pytest.raises(ClusterError, match="may not enter"):
        Cluster(server_folder / "cluster", bundled()).create()
    assert stat.S_IMODE(server_folder.stat().st_mode) == 0o700


@as_root
def test_a_folder_that_root_made_is_not_taken_over(server_folder: Path) -> None:
    (server_folder / "cluster").mkdir(mode=0o755)
    with pytest.raises(ClusterError, match="may not enter"):
        Cluster(server_folder / "cluster", bundled()).create()
    status = (server_folder / "cluster").stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (0, 0o755)


@as_root
def test_programs_that_the_user_cannot_read_are_copied(
    make: Callable[..., Cluster], tmp_path: Path
) -> None:
    tmp_path.chmod(0o700)
    binaries = bundled().copied(tmp_path)
    cluster = make(binaries=binaries)
    cluster.start(THROWAWAY)
    with cluster.session() as cursor:
        cursor.execute("CREATE EXTENSION vector")
    running = Path(f"/proc/{postmaster(cluster)}/exe").readlink()
    assert running.is_relative_to(cluster.folder / "programs")
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
