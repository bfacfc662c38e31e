"""kill -9 of workers, engines and the database while jobs run: each ends once, with one result.

Frozen workers, a database that is away, and clocks that jump, too. ``FAULTS=full``, as in
``make faults-jobs``, kills 60 times while 1,000 jobs run.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg2
import pytest
from ase.build import bulk
from ase.io import write

from api.models import Base
from pgsteady.server.account import Account
from pgsteady.url import parse

if TYPE_CHECKING:
    from servers import ExternalServer

pytestmark = pytest.mark.slow

FULL = os.environ.get("FAULTS") == "full"
JOBS, KILLS = (1000, 60) if FULL else (30, 5)
AWAY_S = 60 if FULL else 6
PATIENCE_S = 1800 if FULL else 240
QUICK, LONG = ("Cu", 1, 2), ("Cu", 4, 20)
"""Element, cells along each edge, and points on each side."""
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
ONCE = """
SELECT job.id FROM simulation_jobs AS job
WHERE status <> 'succeeded'
   OR 1 <> (SELECT count(*) FROM simulation_results WHERE simulation_job_id = job.id)
   OR 1 <> (SELECT count(*) FROM simulation_attempts
            WHERE simulation_job_id = job.id AND outcome = 'succeeded')
   OR attempt <> (SELECT count(*) FROM simulation_attempts WHERE simulation_job_id = job.id)
"""


@dataclass
class Place:
    """A database with jobs, a home, and the workers on it."""

    url: str
    server: ExternalServer
    folder: Path
    workers: list[psutil.Popen] = field(default_factory=list)

    def command(self, *arguments: str) -> None:
        subprocess.run(
            self._words(*arguments), env=self._environment(), check=True, capture_output=True
        )

    def submit(self, jobs: int, what: tuple[str, int, int]) -> None:
        element, cells, points = what
        frames = [bulk(element, a=3.5 + 0.2 * n / jobs).repeat(cells) for n in range(jobs)]
        write(self.folder / "frames.extxyz", frames)
        self.command("structures", "import", str(self.folder / "frames.extxyz"))
        self.command(
            "jobs", "submit", "equation_of_state", "--all", "--param", f"points_per_side={points}"
        )

    def start(self, *options: str, **variables: str) -> psutil.Popen:
        with self.log(len(self.workers)).open("w") as log:
            worker = psutil.Popen(
                self._words("worker", *options),
                env=self._environment() | variables,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        self.workers.append(worker)
        return worker

    def log(self, number: int) -> Path:
        return self.folder / f"worker-{number}.log"

    def logs(self) -> str:
        return "\n".join(self.log(number).read_text() for number in range(len(self.workers)))

    def query(self, statement: str) -> list[Any]:
        connection = psycopg2.connect(parse(self.url, "the test").libpq())
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall()
        finally:
            connection.close()

    def wait_for(self, statement: str) -> None:
        """Wait until a query finds something."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.query(statement):
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.2)

    def wait_until_begun(self, worker: psutil.Popen) -> None:
        """Wait until a worker has signed in, or ended: one that only starts is just ended."""
        while worker.poll() is None:
            if self.query(f"SELECT 1 FROM workers WHERE name LIKE '%:{worker.pid}'"):
                return
            time.sleep(0.1)

    def crash(self) -> None:
        """kill -9 of the server, and a new one."""
        self.server.crash()
        self.start_again()

    def start_again(self) -> None:
        while True:
            with suppress(Exception):  # the last processes of the former still end
                self.server.start_again()
                return
            time.sleep(0.2)

    def _words(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "api.cli", *arguments]

    def _environment(self) -> dict[str, str]:
        return os.environ | {
            "DATABASE_URL": self.url,
            "NANO_OS_HOME": str(self.folder / "home"),
            "NANO_OS_POLL_S": "0.2",
            "NANO_OS_RETRY_AFTER_S": "0",
            "NANO_OS_MAX_ATTEMPTS": "1000",
            "NANO_OS_MAX_WORKER_DEATHS": "1000",
        }


@pytest.fixture
def place(
    migrated: Callable[[str], str], external_server: Callable[..., ExternalServer], tmp_path: Path
) -> Iterator[Place]:
    place = Place(migrated("jobs"), external_server(), tmp_path)
    yield place
    for worker in place.workers:
        with suppress(psutil.Error):
            worker.resume()
            worker.kill()
        worker.wait()


def assert_each_once(place: Place) -> None:
    """Every job ended once with one result, all invariants hold, and nothing is left behind."""
    assert place.query(ONCE) == [], place.logs()
    for table in Base.metadata.sorted_tables:
        for meaning, query in table.info.get("invariants", {}).items():
            assert place.query(query) == [], meaning
    assert "Traceback" not in place.logs()
    home = place.folder / "home"
    assert not list(home.glob("scratch/worker-*"))
    assert not list(home.glob("artifacts/partial/*"))


def kill_a_worker(place: Place, chance: random.Random) -> None:
    worker = chance.choice([worker for worker in place.workers if worker.is_running()])
    family = worker.children(recursive=True)
    worker.kill()
    worker.wait()
    _, left = psutil.wait_procs(family, timeout=20)
    assert not left
    place.start("--slots", "2")


def kill_an_engine(place: Place, chance: random.Random) -> None:
    """Of any worker: the engine's process, or the one that watches over it."""
    children = [
        child
        for worker in place.workers
        if worker.is_running()
        for child in worker.children(recursive=True)
    ]
    if children:
        with suppress(psutil.NoSuchProcess):
            chance.choice(children).kill()


def kill_the_database(place: Place, chance: random.Random) -> None:
    place.crash()


def test_whatever_is_killed_each_job_ends_once(place: Place) -> None:
    place.submit(JOBS, QUICK)
    chance = random.Random(7)
    for _ in range(2):
        place.start("--slots", "2")
    place.wait_for("SELECT id FROM simulation_jobs WHERE status = 'succeeded'")
    kinds = [kill_a_worker, kill_an_engine, kill_the_database]
    for number in range(KILLS):
        time.sleep(chance.uniform(0.1, 2.0))
        kinds[number % 3](place, chance)
    place.wait_for(
        "SELECT 1 WHERE NOT EXISTS (SELECT FROM simulation_jobs"
        " WHERE status NOT IN ('succeeded', 'failed', 'cancelled'))"
    )
    for worker in place.workers:
        place.wait_until_begun(worker)
        if worker.poll() is None:
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(60) == 0, place.logs()
    place.start("--drain").wait(120)  # sweeps what the killed left
    assert_each_once(place)


def test_a_frozen_worker_does_not_overwrite(place: Place) -> None:
    place.submit(1, LONG)
    frozen = place.start("--drain", NANO_OS_LEASE_S="2")
    place.wait_for("SELECT id FROM simulation_jobs WHERE progress > 0")
    frozen.suspend()
    place.wait_for("SELECT id FROM simulation_jobs WHERE lease_until < now()")
    assert place.start("--drain").wait(PATIENCE_S) == 0
    frozen.resume()
    assert frozen.wait(60) == 0
    assert "lost" in place.log(0).read_text()
    assert place.query("SELECT attempt, worker_deaths FROM simulation_jobs") == [(2, 1)]
    assert_each_once(place)


def test_a_database_that_is_away_costs_nothing(place: Place) -> None:
    """What runs meanwhile is stored when it is back, by the same attempt."""
    place.submit(2, LONG)
    place.start("--drain")
    place.wait_for("SELECT id FROM simulation_jobs WHERE progress > 0")
    place.server.crash()
    time.sleep(AWAY_S)
    place.start_again()
    assert place.workers[0].wait(PATIENCE_S) == 0, place.logs()
    assert "The database is back" in place.logs()
    assert place.query("SELECT attempt, worker_deaths FROM simulation_jobs") == [(1, 0)] * 2
    assert_each_once(place)


def faked(clock: Path) -> dict[str, str]:
    """Variables with which a program's clock is off by what the file says, but for intervals."""
    return {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


needs_faketime = pytest.mark.skipif(
    not FAKETIME.exists(), reason="needs libfaketime (Debian's package)"
)


@needs_faketime
@pytest.mark.parametrize("jump", ["+2d", "-2d"])
def test_a_clock_that_jumps_changes_nothing(place: Place, jump: str) -> None:
    """Leases are told by the server's clock alone; the worker's may say what it likes."""
    place.submit(1, LONG)
    clock = place.folder / "clock"
    clock.write_text("+0")
    jumping = place.start("--drain", **faked(clock), NANO_OS_LEASE_S="4")
    place.wait_for("SELECT id FROM simulation_jobs WHERE progress > 0")
    other = place.start(NANO_OS_LEASE_S="4")
    clock.write_text(jump)
    assert jumping.wait(PATIENCE_S) == 0, place.logs()
    other.terminate()
    assert other.wait(60) == 0
    assert place.query("SELECT attempt FROM simulation_jobs") == [(1,)]
    assert_each_once(place)


@pytest.fixture
def servers_clock(
    place: Place, server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """The file that says by how much the clock of the server, started anew with it, is off."""
    clock = server_folder / "clock"
    set_clock(clock, "+0")
    run = Account.run

    def with_clock(account: Account, command: Any, **how: Any) -> Any:
        return run(account, command, **how | {"environment": faked(clock)})

    place.server.cluster.stop()
    with monkeypatch.context() as patch:
        patch.setattr(Account, "run", with_clock)
        place.server.start_again()
    yield clock
    place.server.cluster.stop()
    place.server.start_again()


def set_clock(clock: Path, offset: str) -> None:
    """Write it at once: the server reads it at any time, as a user of its own."""
    new = clock.with_suffix(".new")
    new.write_text(offset)
    new.chmod(0o644)
    new.replace(clock)


@needs_faketime
def test_the_servers_clock_jumps_and_each_job_ends_once(place: Place, servers_clock: Path) -> None:
    """Forward: every lease is over. Back: none will be for days, and a death is noticed still."""
    place.submit(2, ("Cu", 7, 20))
    first = place.start("--slots", "2", NANO_OS_LEASE_S="4")
    place.wait_for("SELECT 1 FROM simulation_jobs WHERE progress > 0 HAVING count(*) = 2")
    second = place.start("--slots", "2", NANO_OS_LEASE_S="4")
    place.wait_for("SELECT 1 FROM workers HAVING count(*) = 2")
    taken = "SELECT 1 FROM simulation_jobs WHERE attempt > 1"
    for days in range(2, 100, 2):
        set_clock(servers_clock, f"+{days}d")
        time.sleep(0.3)
        if place.query(taken):  # before the first worker extended its lease
            break
    place.wait_for(f"{taken} AND status = 'running' AND progress > 0")
    set_clock(servers_clock, "-2d")
    second.kill()
    second.wait()
    place.wait_for("SELECT 1 FROM simulation_jobs WHERE status = 'succeeded' HAVING count(*) = 2")
    first.terminate()
    assert first.wait(60) == 0, place.logs()
    assert "lost" in place.log(0).read_text()
    assert place.start("--drain").wait(60) == 0  # sweeps what the killed left
    assert_each_once(place)
