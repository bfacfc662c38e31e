"""The executor of this machine: each task in a process here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from api.services.results import Run
from api.worker import supervise
from api.worker.executor import Limits
from api.worker.folder import JobFolder
from api.worker.perform import Task
from nanoos.errors import EngineUnavailable, InvalidParameters
from nanoos.processes import cores

LAUNCHERS = ("mpirun", "mpiexec")
UNBOUND = (
    *("OMPI_MCA_hwloc_base_binding_policy=none", "OMPI_MCA_rmaps_base_oversubscribe=true"),
    *("PRTE_MCA_hwloc_default_binding_policy=none",),
    *("PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe",),
)
"""Variables of Open MPI 4 and 5, which else has the ranks of each job on the same first cores."""
AS_ROOT = ("OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1")
"""Variables without which Open MPI starts nothing for root."""


class Processes:
    """An `Executor` on this machine; a thread watches over each task."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix="task")

    def submit(self, task: Task, folder: JobFolder, limits: Limits) -> Future[Run]:
        """Begin a task; see `Executor`.

        Raises InvalidParameters where it asks for more than this machine has, EngineUnavailable
        where it asks for ranks and no launcher of MPI is here.
        """
        task = replace(task, launcher=launch_words(task.resources))
        return self._threads.submit(supervise.carry_out, task, folder, limits)

    def close(self) -> None:
        """End all processes, and wait for that."""
        self._threads.shutdown(cancel_futures=True)
        supervise.end_all()


def launch_words(resources: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the words before a parallel program's command here; none for a single rank."""
    nodes, ranks, here = resources.get("nodes", 1), resources.get("ranks", 1), cores()
    if nodes > 1:
        raise InvalidParameters(
            f"The job asks for {nodes} nodes, and this worker has one machine. Submit it with ranks"
            " alone, or start a worker of a cluster: nano-os worker --executor parsl."
        )
    if ranks > here:
        raise InvalidParameters(
            f"The job asks for {ranks} ranks, and this machine has {here} cores."
            " Submit it with fewer."
        )
    if ranks == 1:
        return ()
    launcher = next(filter(None, map(shutil.which, LAUNCHERS)), None)
    if launcher is None:
        raise EngineUnavailable(
            f"The job asks for {ranks} ranks, and neither {' nor '.join(LAUNCHERS)} is here."
            " Install that of the program's MPI, such as: apt-get install openmpi-bin."
        )
    variables = (*UNBOUND, *(AS_ROOT if os.geteuid() == 0 else ()))
    return ("env", *variables, launcher, "-np", str(ranks))
