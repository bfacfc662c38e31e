"""The demo, whole, interrupted and again: what is done stays done, and nothing is done twice."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Start, Started

METALS = {"Ag", "Al", "Au", "Cu", "Ni", "Pd", "Pt"}
COUNTS = """
SELECT (SELECT count(*) FROM structures WHERE origin = 'upload'),
       (SELECT count(*) FROM simulation_jobs WHERE status = 'succeeded'),
       (SELECT count(*) FROM simulation_jobs),
       (SELECT count(*) FROM simulation_results)
"""

pytestmark = pytest.mark.usefixtures("home")


def ran(start: Start, *arguments: object) -> str:
    """Return what a command printed; it must succeed."""
    command = start(*arguments)
    assert command.end(120) == 0, command.output()
    return command.output()


def wait_for(text: str, demo: Started) -> None:
    """Wait until the demo has said ``text``."""
    while text not in demo.output():
        assert demo.poll() is None, demo.output()
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("said", "number"),
    [
        pytest.param("claimed", signal.SIGKILL, marks=pytest.mark.slow),
        pytest.param("8 submitted", signal.SIGINT, marks=pytest.mark.slow),
        pytest.param("1. Migrate", signal.SIGKILL, marks=pytest.mark.slow),
        pytest.param("2. Import", signal.SIGKILL, marks=pytest.mark.slow),
        pytest.param("5. Embed", signal.SIGKILL, marks=pytest.mark.slow),
        pytest.param("6. Write", signal.SIGINT, marks=pytest.mark.slow),
    ],
)
def test_interrupted_anywhere_the_next_run_completes_it(
    start: Start, tmp_path: Path, said: str, number: signal.Signals
) -> None:
    interrupted = start("demo", "--output", tmp_path, session=True)
    wait_for(said, interrupted)
    interrupted.send_signal(number)
    interrupted.wait(180)
    assert "Traceback" not in interrupted.output()

    ran(start, "demo", "--output", tmp_path)
    assert ran(start, "db", "sql", "-t", COUNTS).split() == ["86", "8", "8", "8"]

    again = ran(start, "demo", "--output", tmp_path)
    assert "0 imported, 86 already there, 0 failed" in again
    assert "0 submitted, 8 already there" in again
    assert ran(start, "db", "sql", "-t", COUNTS).split() == ["86", "8", "8", "8"]


@pytest.mark.slow
def test_its_report_holds_the_numbers_and_where_they_come_from(
    start: Start, tmp_path: Path
) -> None:
    ran(start, "demo", "--output", tmp_path)
    report = (tmp_path / "report.html").read_text()
    jobs = json.loads(ran(start, "jobs", "list", "--json"))["jobs"]
    assert {job["reduced_formula"] for job in jobs} == METALS
    assert [job["reduced_formula"] for job in jobs if job["workflow"] == "phonons"] == ["Cu"]
    assert "Frequency (THz)" in report
    for job in jobs:
        result = json.loads(ran(start, "results", "show", job["id"], "--json"))
        assert result["is_converged"]
        if job["workflow"] == "equation_of_state":
            assert f"{result['quantities']['volume_a3_per_atom']:.3f}" in report
        assert result["id"] in report
        assert result["provenance"]["input_sha256"] in report
    assert report.count("<svg") >= 86 + len(METALS) + 1


def test_it_does_not_write_into_a_database_somebody_named(start: Start) -> None:
    url = "postgresql://orion:secret@127.0.0.1:1/orion_db"
    refused = start("demo", DATABASE_URL=url)
    assert refused.end() == 2
    assert "--here" in refused.output()
    assert "secret" not in refused.output()
