"""Engines that crash, grow, hang and rave: their jobs end with the cause, and nothing else does."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from samples import metal

if TYPE_CHECKING:
    from conftest import Start, Started

Query = Callable[..., list[dict[str, Any]]]
MIB = 1024**2
FIXTURE = Path(__file__).parents[2] / "fixtures" / "rogue_engine"


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(FIXTURE))
    monkeypatch.setenv("NANO_OS_RETRY_AFTER_S", "0")


@pytest.fixture
def rogues(queue_up: Any, query: Query) -> Callable[..., Any]:
    """Queue a job for each way to misbehave, by the columns that it has beside; one of copper."""

    async def run(*columns: dict[str, Any]) -> None:
        await queue_up(*(metal("Cu", a=3.5 + 0.01 * n) for n in range(len(columns))))
        rows = query("SELECT id FROM simulation_jobs ORDER BY id")
        for row, given in zip(rows, columns, strict=True):
            for name, value in given.items():
                shown = json.dumps(value) if isinstance(value, dict) else value
                query(f"UPDATE simulation_jobs SET {name} = %s WHERE id = %s", shown, row["id"])

    return run


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", disk], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def rogue(does: str, once: Path | None = None, **columns: Any) -> dict[str, Any]:
    told = {"does": does} | ({"once": str(once)} if once else {})
    return {"engine": "rogue", "engine_parameters": told} | columns


@pytest.mark.slow
async def test_each_ends_with_its_cause_and_the_others_go_on(
    start: Start, query: Query, rogues: Any, home: Path, tmp_path: Path
) -> None:
    await rogues(
        rogue("crash", tmp_path / "crashed"),
        rogue("exit", max_attempts=1),
        rogue("rave"),
        rogue("grow", memory_limit_mb=700),
        rogue("linger", wall_time_limit_s=4),
        {},
    )
    worker = start("worker", "--drain", "--slots", "2", "--keep-failed")
    assert worker.end() == 0, worker.output()
    assert "Traceback" not in worker.output()
    jobs = query("SELECT status, failures, error_type, error FROM simulation_jobs ORDER BY id")
    ended = [job["status"] for job in jobs]
    assert ended == ["succeeded", *["failed"] * 4, "succeeded"], worker.output()
    assert [job["error_type"] for job in jobs[1:5]] == [
        "EngineCrashed",
        "EngineError",
        "MemoryExceeded",
        "WallTimeExceeded",
    ]
    assert jobs[0]["failures"] == 1
    assert "exit code 3" in jobs[1]["error"]
    assert "half a pair" in jobs[2]["error"]
    assert "700 MB" in jobs[3]["error"]
    assert "4 s" in jobs[4]["error"]
    (crash,) = query(
        "SELECT error FROM simulation_attempts WHERE error_type = 'EngineCrashed'"
        " AND error LIKE '%%SIGSEGV%%'"
    )
    assert "about to fail" in crash["error"]
    assert not sleepers()
    scratch = home / "scratch"
    assert len(list((scratch / "failed").iterdir())) == 4
    assert not list(scratch.glob("worker-*"))


@pytest.mark.slow
async def test_a_cancelled_job_leaves_no_process(start: Start, query: Query, rogues: Any) -> None:
    await rogues(rogue("linger"), {})
    worker = start("worker", "--drain")
    wait_until(lambda: len(sleepers()) == 2, worker)
    query("UPDATE simulation_jobs SET cancel_requested_at = now() WHERE engine = 'rogue'")
    query("SELECT pg_notify('nano_os_jobs', '')")
    wait_until(lambda: not sleepers(), worker, patience_s=5)
    assert worker.end() == 0
    jobs = query("SELECT status FROM simulation_jobs ORDER BY id")
    assert [job["status"] for job in jobs] == ["cancelled", "succeeded"]


@pytest.mark.slow
async def test_a_second_signal_ends_at_once_and_leaves_no_process(
    start: Start, rogues: Any
) -> None:
    await rogues(rogue("linger"))
    worker = start("worker")
    wait_until(lambda: len(sleepers()) == 2, worker)
    worker.terminate()
    wait_until(lambda: "Stopping" in worker.output(), worker)
    worker.terminate()
    assert worker.end() != 0
    wait_until(lambda: not sleepers(), None, patience_s=5)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
@pytest.mark.parametrize("which", ["scratch", "artifacts"])
async def test_a_full_disk_is_told_and_passes(
    start: Start,
    query: Query,
    rogues: Any,
    small_disk: Path,
    home: Path,
    tmp_path: Path,
    which: str,
) -> None:
    place = {"scratch": home / "scratch", "artifacts": home / "artifacts"}[which]
    place.symlink_to(small_disk)
    (small_disk / "ballast").write_bytes(bytes(14 * MIB))
    await rogues(rogue("fill" if which == "scratch" else "keep", max_attempts=9))
    worker = start("worker", "--drain", NANO_OS_RETRY_AFTER_S="1")
    wait_until(lambda: query("SELECT id FROM simulation_jobs WHERE failures > 0"), worker)
    (job,) = query("SELECT status, error_type, error FROM simulation_jobs")
    assert (job["status"], job["error_type"]) == ("waiting", "DiskFull")
    assert "No space left" in job["error"]
    assert not query("SELECT id FROM simulation_results")
    assert not list(small_disk.glob("partial/*"))
    (small_disk / "ballast").unlink()
    if which == "scratch":
        query('UPDATE simulation_jobs SET engine_parameters = \'{"does": "keep"}\'')
    assert worker.end() == 0
    (result,) = query("SELECT artifacts FROM simulation_results")
    (kept,) = result["artifacts"]
    assert (kept["name"], kept["size_bytes"]) == ("density", 8 * MIB)


def sleepers() -> list[psutil.Process]:
    """The processes that rogue engines leave behind."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if process.info["cmdline"] in (["sleep", "1001"], ["sleep", "1002"]):
            found.append(process)
    return found


def wait_until(
    condition: Callable[[], Any], worker: Started | None, patience_s: float = 60
) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert worker is None or worker.poll() is None, worker and worker.output()
        assert time.monotonic() < deadline, worker and worker.output()
        time.sleep(0.05)
