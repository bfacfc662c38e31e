"""Tasks of this machine's executor that ask for ranks: what is refused, and what is started."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from ase.build import bulk

from api.worker.executor import Limits
from api.worker.folder import JobFolder
from api.worker.perform import Task
from api.worker.processes import LAUNCHERS, Processes
from nanoos.engines.espresso import Espresso
from nanoos.errors import EngineUnavailable, InvalidParameters
from nanoos.structures import Structure

ROUGH = {"functional": "LDA", "cutoff_ev": 110, "k_spacing_per_a": 1.0}
SILICON = Task(uuid4(), "single_point", 1, "espresso", {}, ROUGH, Structure.from_ase(bulk("Si")))
needs_mpi = pytest.mark.skipif(
    Espresso().probe() is not None or not any(map(shutil.which, LAUNCHERS)),
    reason="no Quantum ESPRESSO, or no launcher of MPI here: make test-espresso",
)


@pytest.fixture
def processes() -> Iterator[Processes]:
    made = Processes(1)
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    made = JobFolder(tmp_path / "job")
    made.make()
    return made


def test_what_this_machine_has_not_is_refused(
    processes: Processes, folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    for resources, error, told in (
        ({"nodes": 2, "ranks": 2}, InvalidParameters, "2 nodes, and this worker has one machine"),
        ({"ranks": 10**6}, InvalidParameters, r"1000000 ranks, and this machine has \d+ cores"),
        ({"ranks": 2}, EngineUnavailable, "neither mpirun nor mpiexec is here"),
    ):
        monkeypatch.setattr("api.worker.processes.cores", lambda: 2)
        with pytest.raises(error, match=told):
            processes.submit(replace(SILICON, resources=resources), folder, Limits())


@needs_mpi
@pytest.mark.slow
def test_espresso_runs_in_as_many_ranks_as_are_asked_for(
    processes: Processes, folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.worker.processes.cores", lambda: 2)
    run = processes.submit(replace(SILICON, resources={"ranks": 2}), folder, Limits()).result()
    (output,) = (file.path for file in run.outcome.files if file.path.name == "pw.out")
    assert re.findall(r"running on +(\d+) processors", output.read_text()) == ["2"]
    assert run.outcome.convergence["converged"]
