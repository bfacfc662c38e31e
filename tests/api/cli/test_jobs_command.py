"""``nano-os jobs``: what a user does with a job between its submission and its end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from conftest import Invoke

CRYSTALS = Path(__file__).parents[3] / "examples" / "crystals"
SUBMIT = ("jobs", "submit", "equation_of_state")


@pytest.fixture
def copper(invoke: Invoke) -> str:
    """The id of a structure."""
    invoke("structures", "import", CRYSTALS / "copper_0011145.cif")
    (row,) = invoke("structures", "list", "--json").json["structures"]
    return str(row["id"])


def submitted(invoke: Invoke, *what: Any) -> str:
    (job,) = invoke(*SUBMIT, *what, "--json").json["submitted"]
    return str(job)


@pytest.mark.slow
def test_a_job_on_its_way(invoke: Invoke, copper: str) -> None:
    job = submitted(invoke, copper)
    said = invoke("jobs", "explain", job)
    assert "No worker is there." in said.stdout
    assert "nano-os worker" in said.stderr
    assert invoke("jobs", "pause", job).stdout == f"{job} paused\n"
    assert invoke("jobs", "explain", job, "--json").json["next_step"] == (
        f"`nano-os jobs resume {job}`"
    )
    assert invoke("jobs", "resume", "--all", "--json").json == {
        "jobs": [{"id": job, "status": "queued"}]
    }
    assert invoke("jobs", "cancel", job).stdout == f"{job} cancelled\n"
    assert "queued or waiting" in invoke("jobs", "pause", job, exits=1).stderr
    assert invoke("jobs", "retry", job).stdout == f"{job} queued\n"

    invoke("worker", "--drain")
    last = json.loads(invoke("jobs", "watch", job, "--json").stdout)
    assert (last["id"], last["status"], last["progress"]) == (job, "succeeded", 1)
    assert job in invoke("jobs", "watch", job).stdout
    assert "1 of 1 ended" in invoke("jobs", "watch", job).stdout
    assert "No job that has not ended" in invoke("jobs", "watch").stderr
    for change in ("cancel", "retry", "resume"):
        assert f"{job} is succeeded" in invoke("jobs", change, job, exits=1).stderr

    assert invoke(*SUBMIT, copper, "--json").json["existing"] == [job]
    fresh = submitted(invoke, copper, "--fresh")
    assert invoke("jobs", "show", fresh, "--json").json["repetition"] == 1
    assert [row["id"] for row in invoke("jobs", "list", "--json").json["jobs"]] == [fresh, job]


def test_terms_of_a_job(invoke: Invoke, copper: str) -> None:
    terms = ("--wall-time", 60, "--memory", 500, "--max-attempts", 2, "--at", "2400-01-31T18:00")
    job = submitted(invoke, copper, *terms)
    shown = invoke("jobs", "show", job, "--json").json
    assert shown["status"] == "waiting"
    assert (shown["wall_time_limit_s"], shown["memory_limit_mb"]) == (60, 500)
    assert shown["max_attempts"] == 2
    assert shown["not_before"].startswith("2400-01-31")
    assert "not before 2400-01-31" in invoke("jobs", "explain", job).stdout
    for filter_, value in (("status", "waiting"), ("workflow", SUBMIT[2]), ("structure", copper)):
        (row,) = invoke("jobs", "list", f"--{filter_}", value, "--json").json["jobs"]
        assert row["id"] == job
    assert invoke("jobs", "list", "--engine", "lj", "--json").json == {"jobs": []}

    on = ("--nodes", 2, "--ranks", 8)
    parallel = ("jobs", "submit", "single_point", copper, "--engine", "espresso")
    (job,) = invoke(*parallel, *on, "--json").json["submitted"]
    shown = invoke("jobs", "show", job, "--json").json
    assert shown["resources"] == {"nodes": 2, "ranks": 8}
    assert "--ranks" in invoke(*parallel, "--nodes", 2, exits=2).stderr
    assert "emt starts no parallel program" in invoke(*SUBMIT, copper, *on, exits=1).stderr


@pytest.mark.usefixtures("database")
def test_wrong_input_is_named(invoke: Invoke) -> None:
    nobodys = str(uuid4())
    for command in ("cancel", "pause", "resume", "retry", "explain", "watch"):
        assert nobodys in invoke("jobs", command, nobodys, exits=1).stderr
    assert "--all" in invoke("jobs", "cancel", exits=2).stderr
    assert "--at tomorrow" in invoke(*SUBMIT, nobodys, "--at", "tomorrow", exits=2).stderr
