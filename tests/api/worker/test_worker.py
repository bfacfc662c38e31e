"""The worker as a process: what it finishes, and what is left when it, or its engine, is killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from samples import metal

if TYPE_CHECKING:
    from conftest import Start, Started

Query = Callable[..., list[dict[str, Any]]]

LONG = {"points_per_side": 20}
"""With cells of some hundred atoms: a second of work or more, and progress all along."""


def wait_for(condition: Callable[[], Any], worker: Started) -> Any:
    """Wait until the condition holds while the worker lives, and return what it gave."""
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert worker.poll() is None, worker.output()
        assert time.monotonic() < deadline, worker.output()
        time.sleep(0.02)
    return found


def engines(worker: Started) -> list[psutil.Process]:
    """The processes in which the worker's engines run, once they are at work."""
    return [
        child
        for child in worker.children()
        if any("api.worker.warden" in part for part in child.cmdline())
    ]


def under_way(query: Query, jobs: int = 1) -> Callable[[], bool]:
    """Whether so many jobs are past their start."""
    return lambda: count(query, "simulation_jobs WHERE status = 'running' AND progress > 0") == jobs


def count(query: Query, rows: str) -> int:
    (row,) = query(f"SELECT count(*) FROM {rows}")
    return int(row["count"])


def statuses(query: Query) -> list[str]:
    """The status of each job, in the order of their submission."""
    return [row["status"] for row in query("SELECT status FROM simulation_jobs ORDER BY id")]


def assert_done_once(query: Query, jobs: int) -> None:
    assert statuses(query) == ["succeeded"] * jobs
    assert count(query, "simulation_results") == jobs
    assert count(query, "simulation_results WHERE output_structure_id IS NOT NULL") == jobs


@pytest.mark.slow
async def test_drain_does_all_and_ends(start: Start, query: Query, queue_up: Any) -> None:
    await queue_up(*(metal(symbol) for symbol in ("Cu", "Al", "Ni", "Ag")))
    worker = start("worker", "--drain", "--slots", "2")
    assert worker.end() == 0
    assert_done_once(query, 4)
    assert worker.output().count("succeeded") == 4
    assert "Traceback" not in worker.output()


@pytest.mark.slow
@pytest.mark.usefixtures("database")
def test_drain_of_an_empty_queue_ends(start: Start) -> None:
    assert start("worker", "--drain").end() == 0


@pytest.mark.slow
async def test_two_workers_share_the_queue(start: Start, query: Query, queue_up: Any) -> None:
    await queue_up(*(metal("Cu", a=3.5 + 0.01 * n) for n in range(8)))
    workers = [start("worker", "--drain") for _ in range(2)]
    assert [worker.end() for worker in workers] == [0, 0]
    assert_done_once(query, 8)
    assert {row["attempt"] for row in query("SELECT attempt FROM simulation_jobs")} == {1}


@pytest.mark.slow
async def test_a_job_that_cannot_be_done_says_why_and_others_go_on(
    start: Start, query: Query, queue_up: Any
) -> None:
    await queue_up(metal("Cu", a=8.0), metal("Al"))
    assert start("worker", "--drain").end() == 0
    assert statuses(query) == ["failed", "succeeded"]
    (row,) = query("SELECT error, error_type FROM simulation_jobs WHERE status = 'failed'")
    assert row["error_type"] == "WorkflowError"
    assert "No minimum" in row["error"]


@pytest.mark.slow
async def test_what_a_killed_worker_had_is_finished_once_by_the_next(
    start: Start, query: Query, queue_up: Any
) -> None:
    await queue_up(*(metal(one, cells=5) for one in ("Cu", "Al", "Ni")), parameters=LONG)
    killed = start("worker", "--slots", "2")
    wait_for(under_way(query, jobs=2), killed)
    family = killed.children(recursive=True)
    killed.kill()
    killed.wait()
    _gone, left = psutil.wait_procs(family, timeout=10)
    assert not left
    assert statuses(query).count("running") == 2

    assert start("worker", "--drain", "--slots", "2").end(90) == 0
    assert_done_once(query, 3)
    attempts = [row["attempt"] for row in query("SELECT attempt FROM simulation_jobs")]
    assert sorted(attempts) == [1, 2, 2]


@pytest.mark.slow
async def test_a_killed_engine_fails_its_job_alone(
    start: Start, query: Query, queue_up: Any
) -> None:
    await queue_up(metal("Cu", cells=7), metal("Al", cells=7), parameters=LONG)
    worker = start("worker", "--drain", "--slots", "2")
    wait_for(under_way(query, jobs=2), worker)
    engines(worker)[0].kill()
    assert worker.end(90) == 0
    assert sorted(statuses(query)) == ["failed", "succeeded"]
    (row,) = query("SELECT error FROM simulation_jobs WHERE status = 'failed'")
    assert "ended without an answer" in row["error"]
    assert "Traceback" not in worker.output()


@pytest.mark.slow
async def test_an_engine_killed_between_jobs_is_replaced(
    start: Start, query: Query, queue_up: Any
) -> None:
    await queue_up(metal("Cu"))
    worker = start("worker")
    wait_for(lambda: statuses(query) == ["succeeded"], worker)
    (idle,) = engines(worker)
    idle.kill()
    psutil.wait_procs([idle])
    await queue_up(metal("Al"))
    await queue_up(metal("Ni"))
    wait_for(lambda: statuses(query)[-1] == "succeeded", worker)
    worker.terminate()
    assert worker.end() == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stopped_worker_hands_its_job_back(
    start: Start, query: Query, queue_up: Any, number: signal.Signals
) -> None:
    await queue_up(metal("Cu", cells=6), metal("Al"), parameters=LONG)
    worker = start("worker", "--grace", "0")
    wait_for(under_way(query), worker)
    worker.send_signal(number)
    assert worker.end() == 0
    assert statuses(query) == ["queued", "queued"]
    (row,) = query("SELECT attempt, lease_until FROM simulation_jobs ORDER BY id LIMIT 1")
    assert row == {"attempt": 1, "lease_until": None}
    assert "handed back" in worker.output()
    assert "Traceback" not in worker.output()


@pytest.mark.slow
async def test_ctrl_c_at_any_moment_shows_no_traceback(
    start: Start, query: Query, queue_up: Any
) -> None:
    """A terminal sends it to the engine's process too, which may be at its first imports."""
    await queue_up(metal("Cu", cells=6), parameters=LONG)
    worker = start("worker", "--grace", "0", session=True)
    wait_for(lambda: engines(worker), worker)
    os.killpg(worker.pid, signal.SIGINT)
    assert worker.end() == 0
    assert statuses(query) == ["queued"]
    assert "Traceback" not in worker.output()


@pytest.mark.slow
async def test_a_worker_gives_up_a_job_that_was_taken_from_it(
    start: Start, query: Query, queue_up: Any
) -> None:
    """As after a long network failure: it stores nothing, and its slot is free at once."""
    await queue_up(metal("Cu", cells=6), parameters=LONG)
    worker = start("worker")
    wait_for(under_way(query), worker)
    query(
        "UPDATE simulation_jobs SET status = 'cancelled', finished_at = now(), lease_until = NULL"
    )
    await queue_up(metal("Al"))
    wait_for(lambda: statuses(query) == ["cancelled", "succeeded"], worker)
    assert "lost" in worker.output()
    worker.terminate()
    assert worker.end() == 0
    assert count(query, "simulation_results") == 1


@pytest.mark.slow
async def test_a_worker_cut_off_from_its_lock_comes_back(
    start: Start, query: Query, queue_up: Any
) -> None:
    """What it runs goes on, and is stored once."""
    await queue_up(metal("Cu", cells=5), parameters=LONG)
    worker = start("worker", "--drain")
    wait_for(under_way(query), worker)
    query("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
    assert worker.end() == 0
    assert "The database is back" in worker.output()
    assert "Traceback" not in worker.output()
    assert_done_once(query, 1)
    assert query("SELECT attempt FROM simulation_jobs") == [{"attempt": 1}]


@pytest.mark.slow
async def test_heartbeats_keep_a_long_job(start: Start, query: Query, queue_up: Any) -> None:
    """Longer than its lease, and nobody else takes it."""
    await queue_up(metal("Cu", cells=8), parameters=LONG)
    workers = [start("worker", "--drain", NANO_OS_LEASE_S="2")]
    wait_for(under_way(query), workers[0])
    workers.append(start("worker", NANO_OS_LEASE_S="2"))
    assert workers[0].end(90) == 0
    workers[1].terminate()
    assert workers[1].end() == 0
    assert_done_once(query, 1)
    assert query("SELECT attempt FROM simulation_jobs") == [{"attempt": 1}]
