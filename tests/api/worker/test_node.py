"""One task on a node, without a cluster: where it began, what it leaves, and whose time is over."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from samples import metal

from api.errors import AllocationLost, Cancelled
from api.services.results import Run
from api.worker import supervise
from api.worker.cluster import Cluster
from api.worker.executor import Limits
from api.worker.folder import JobFolder
from api.worker.node import ENDS_AT, SPARE_S, kept, run_task, where_begun
from api.worker.perform import Task
from nanoos.errors import WallTimeExceeded
from nanoos.structures import Structure

LONG = {"points_per_side": 20}


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    made = JobFolder(tmp_path / "job")
    made.make()
    return made


@pytest.fixture(scope="module", autouse=True)
def ended() -> Iterator[None]:
    yield
    supervise.end_all()


def ran(
    folder: JobFolder,
    structure: Structure,
    limits: Limits | None = None,
    parameters: dict[str, Any] | None = None,
    wall_time: str = "01:00:00",
) -> Any:
    parameters = parameters or {"points_per_side": 2}
    task = Task(uuid4(), "equation_of_state", 1, "emt", parameters, {}, structure)
    cluster = Cluster(folder=Path("/shared"), cores_per_node=2, wall_time=wall_time)
    return pickle.loads(run_task(pickle.dumps((task, folder, limits or Limits(), cluster))))


def test_the_outcome_is_left_in_the_folder(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node may be lost before its answer has arrived."""
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("SLURMD_NODENAME", "node1")
    run, left = ran(folder, metal("Cu")), kept(folder)
    assert isinstance(run, Run)
    assert isinstance(left, Run)
    assert left.outcome.quantities == run.outcome.quantities
    assert where_begun(folder) == "on node1 in allocation 17"


def test_a_task_that_nobody_wants_any_more_is_not_begun(folder: JobFolder) -> None:
    folder.cancel()
    assert isinstance(ran(folder, metal("Cu")), Cancelled)
    assert where_begun(folder) is None


@pytest.mark.parametrize(
    ("given_s", "told"), [(None, AllocationLost), (600, AllocationLost), (0.1, WallTimeExceeded)]
)
def test_what_ends_first_is_told(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch, given_s: float | None, told: type
) -> None:
    """Only a job that took more than it was given has failed for good."""
    monkeypatch.setenv(ENDS_AT, str(time.time() + SPARE_S + 0.3))
    came = ran(folder, metal("Cu", cells=6), Limits(wall_time_s=given_s), LONG)
    assert type(came) is told
    assert type(kept(folder)) is told


def test_a_job_that_had_a_whole_allocation_is_not_tried_in_another(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would cost the same core-hours, and end the same way."""
    monkeypatch.setenv(ENDS_AT, str(time.time() + SPARE_S + 1))
    came = ran(folder, metal("Cu", cells=6), None, LONG, wall_time="00:00:06")
    assert isinstance(came, WallTimeExceeded)
    assert "longer wall_time" in str(came)


def test_an_allocation_whose_time_is_over_hands_tasks_back(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no failure of theirs, as which it would soon be counted too often."""
    monkeypatch.setattr("api.worker.node.SPARE_S", 0.0)
    monkeypatch.setenv(ENDS_AT, str(time.time() - 1))
    assert isinstance(ran(folder, metal("Cu")), Cancelled)
    assert where_begun(folder) is None
