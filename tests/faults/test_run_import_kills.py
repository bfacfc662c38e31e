"""kill -9 of an import of runs at any moment: done again, it leaves what an undisturbed one would.

No run is there twice, and every artifact that a result has is there and whole.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
import psycopg2
import pytest

from api.artifacts import Artifacts

pytestmark = pytest.mark.slow

FULL = os.environ.get("FAULTS") == "full"
SEEDS = range(20) if FULL else range(1)
KILLS = 2
"""In a row, before the import is left alone."""
COPIES = 20
RUNS = Path(__file__).parents[1] / "fixtures" / "runs" / "espresso"
TAKEN = ("relax", "scf", "md", "unconverged", "time_limit")
CONTENT = """
    SELECT job.source_name, job.source_sha256, job.source_place, job.source_is_last, job.status,
           result.energy_ev, result.artifacts::text, first.fingerprint, last.fingerprint,
           earlier.source_sha256
    FROM simulation_jobs AS job
    LEFT JOIN simulation_results AS result ON result.simulation_job_id = job.id
    LEFT JOIN structures AS first ON first.id = job.structure_id
    LEFT JOIN structures AS last ON last.id = result.output_structure_id
    LEFT JOIN simulation_jobs AS earlier ON earlier.id = job.continues_id
    ORDER BY job.source_sha256, job.source_place
"""
Content = list[tuple[object, ...]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of runs, each with a note of its own, so that no two are the same."""
    folder = tmp_path_factory.mktemp("calcs")
    for number in range(COPIES):
        for name in TAKEN:
            copy = folder / f"{number}" / name
            shutil.copytree(RUNS / name, copy)
            subprocess.run(["xz", "-d", *copy.rglob("*.xz")], check=True)
            with next(copy.glob("*.out")).open("a") as stream:
                stream.write(f"\n{number}\n")
    return folder


def start(url: str, home: Path, folder: Path) -> psutil.Popen:
    return psutil.Popen(
        [sys.executable, "-m", "api.cli", "results", "import", str(folder), "--json"],
        env=os.environ | {"DATABASE_URL": url, "NANO_OS_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(url: str, home: Path, folder: Path) -> None:
    command = start(url, home, folder)
    _, said = command.communicate(timeout=240)
    assert command.returncode == 0, said


def content(url: str) -> Content:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(CONTENT)
        return cursor.fetchall()


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_killed_and_done_again_is_as_if_never_killed(
    migrated: Callable[[str], str], tmp_path: Path, folder: Path, seed: int
) -> None:
    undisturbed = migrated("undisturbed_runs")
    began = time.monotonic()
    finish(undisturbed, tmp_path / "undisturbed", folder)
    took_s = time.monotonic() - began
    expected = content(undisturbed)
    assert len(expected) == COPIES * len(TAKEN)

    url, home = migrated("killed_runs"), tmp_path / "killed"
    chance = random.Random(seed)
    for _ in range(KILLS):
        command = start(url, home, folder)
        time.sleep(chance.uniform(0.3, 1.0) * took_s)
        family = command.children(recursive=True)
        command.send_signal(signal.SIGKILL)
        command.communicate()
        _, left = psutil.wait_procs(family, timeout=20)
        assert not left
    finish(url, home, folder)
    assert content(url) == expected
    wanted = {one["sha256"] for row in expected for one in json.loads(str(row[6] or "[]"))}
    assert wanted
    assert not list(Artifacts(home / "artifacts").verify(wanted))
