"""The executor of a cluster: allocations of Slurm, made by Parsl, that run one task after another.

The worker stays on the login node, the only one that sees the database. Allocations are asked for
while tasks wait and given back when idle, so that thousands of short tasks need a few of them.
"""

from __future__ import annotations

import logging
import pickle
import shutil
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from logging.handlers import RotatingFileHandler
from math import ceil
from pathlib import Path
from typing import Any

from api.errors import AllocationLost, ClusterUnavailable
from api.services.results import Run
from api.worker.cluster import Cluster
from api.worker.executor import Limits
from api.worker.folder import Heard, JobFolder
from api.worker.node import kept, run_task, where_begun
from api.worker.perform import Task
from nanoos.errors import InvalidParameters
from nanoos.scratch import Scratch

LOOK_S = 0.5
"""How often is looked whether tasks have begun."""
PROGRAMS = ("sbatch", "squeue", "scancel")


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A task that Parsl has, and the future that its worker has."""

    folder: JobFolder
    future: Future[Run] = field(default_factory=Future)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def waits(self) -> bool:
        """Whether it has not begun, as far as is known."""
        return not (self.future.running() or self.future.done())

    def begin(self) -> None:
        """Let it no longer be cancelled without its node's knowing."""
        with self.lock:
            if self.waits:
                self.future.set_running_or_notify_cancel()


class Allocations:
    """An `Executor` on the nodes of ``cluster``.

    Raises ClusterUnavailable where Parsl or Slurm's programs are missing. It must be made in a
    thread that lives as long as it does: what passes tasks to the nodes ends with that.
    """

    def __init__(self, cluster: Cluster) -> None:
        _require()
        from parsl import Config, DataFlowKernel

        from api.worker import slurm

        self.slots = cluster.max_allocations * cluster.nodes * cluster.jobs_per_node
        self._cluster = cluster
        cluster.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _log_to(cluster.folder / "parsl.log")
        self._scratch = Scratch(cluster.folder, "parsl-")
        self._kernel = DataFlowKernel(
            Config(
                executors=[slurm.shared(cluster)],
                run_dir=str(self._scratch.path),
                strategy="htex_auto_scale",
                strategy_period=min(5.0, cluster.poll_s),
                max_idletime=cluster.idle_s,
                initialize_logging=False,
            )
        )
        self._pools: dict[str, Any] = {}
        self._placed: set[Placed] = set()
        self._closed = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="allocations", daemon=True)
        self._watcher.start()

    def submit(self, task: Task, folder: JobFolder, limits: Limits) -> Future[Run]:
        """Begin a task where there is room; see `Executor`."""
        label, asked = self._asked(task.resources)
        placed = Placed(folder)
        self._placed.add(placed)
        parcel = pickle.dumps((task, folder, limits, self._cluster))
        pool = self._pool(label)
        remote = pool.submit(run_task, parcel, parsl_resource_specification=asked)
        remote.add_done_callback(lambda done: self._settle(placed, done))
        return placed.future

    def close(self) -> None:
        """Give all allocations back, with what runs there."""
        self._closed.set()
        self._watcher.join()
        self._kernel.cleanup()
        self._scratch.remove()

    def _pool(self, label: str) -> Any:
        from parsl.concurrent import ParslPoolExecutor

        from api.worker import slurm

        if label not in self._kernel.executors:  # whole nodes, when first asked for
            self._kernel.add_executors([slurm.whole(self._cluster)])
        if label not in self._pools:
            self._pools[label] = ParslPoolExecutor(dfk=self._kernel, executors=[label])
        return self._pools[label]

    def _asked(self, resources: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return which of Parsl's executors has what a job asks for, and what it is told."""
        nodes, ranks = resources.get("nodes"), resources.get("ranks", 1)
        if nodes is None:
            if max(ranks, resources.get("cores", 1)) <= self._cluster.cores_per_job:
                return "shared", {}
            raise InvalidParameters(
                f"The job asks for more than the {self._cluster.cores_per_job} cores that a job has"
                " on this cluster. Ask for whole nodes, with --nodes."
            )
        if nodes > self._cluster.nodes:
            raise InvalidParameters(
                f"The job asks for {nodes} nodes; allocations of this cluster have"
                f" {self._cluster.nodes}."
            )
        if ranks > nodes * self._cluster.cores_per_node:
            raise InvalidParameters(
                f"The job asks for {ranks} ranks on {nodes} nodes; a node of this cluster has"
                f" {self._cluster.cores_per_node} cores."
            )
        per_node = ceil(ranks / nodes)
        return "whole", {"num_nodes": nodes, "num_ranks": ranks, "ranks_per_node": per_node}

    def _settle(self, placed: Placed, remote: Future[Any]) -> None:
        """Pass on what came of a task."""
        error = remote.exception()
        self._end(placed, self._explained(placed, error) if error else _read(remote.result()))

    def _end(self, placed: Placed, came: Run | BaseException) -> None:
        self._placed.discard(placed)
        placed.begin()
        with suppress(InvalidStateError):  # it was cancelled
            if isinstance(came, BaseException):
                placed.future.set_exception(came)
            else:
                placed.future.set_result(came)

    def _explained(self, placed: Placed, error: BaseException) -> Run | BaseException:
        """Return what came of a task although Parsl has no answer, or what that means."""
        from parsl.executors.high_throughput.errors import ManagerLost, WorkerLost

        if not isinstance(error, ManagerLost | WorkerLost):
            return ClusterUnavailable(f"The cluster takes no jobs. {type(error).__name__}: {error}")
        if (came := kept(placed.folder)) is not None:
            return came
        where = where_begun(placed.folder) or f"on {error.hostname}"
        return AllocationLost(f"The allocation or node was lost while the job ran {where}.")

    def _watch(self) -> None:
        """Note which tasks have begun, and tell in the folders of others what they wait for."""
        from api.worker import slurm

        looked_at = -self._cluster.poll_s
        while not self._closed.wait(LOOK_S):
            if any(map(slurm.has_died, self._kernel.executors.values())):
                for placed in self._placed.copy():
                    self._end(placed, ClusterUnavailable("What passes jobs to the nodes has died."))
            waiting = [placed for placed in self._placed.copy() if placed.waits]
            for placed in waiting:
                if where_begun(placed.folder) is not None:
                    placed.begin()
            if waiting and time.monotonic() - looked_at >= self._cluster.poll_s:
                looked_at = time.monotonic()
                _tell(waiting, self._awaited())

    def _awaited(self) -> str:
        from api.worker import slurm

        if pending := slurm.pending(self._kernel.executors.values()):
            allocation, reason = pending
            return f"waits for Slurm: allocation {allocation} is pending ({reason})"
        return "waits for a place in an allocation"


def _tell(waiting: Iterable[Placed], message: str) -> None:
    for placed in waiting:
        if placed.waits and where_begun(placed.folder) is None:
            with suppress(OSError):  # it ended meanwhile
                if placed.folder.heard().message != message:
                    placed.folder.tell(Heard(0.0, message))


def _read(answer: bytes) -> Run | BaseException:
    try:
        came: Run | BaseException = pickle.loads(answer)  # noqa: S301 - from our own node
    except (pickle.UnpicklingError, AttributeError, ImportError, EOFError) as error:
        return ClusterUnavailable(f"The nodes run another version of NANO-OS: {error}")
    return came


def _log_to(file: Path) -> None:
    """Let warnings of Parsl go to a file, which does not grow without end."""
    log = logging.getLogger("parsl")
    handler = RotatingFileHandler(file, maxBytes=10**6, backupCount=1, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.setLevel(logging.WARNING)
    log.addHandler(handler)
    log.propagate = False


def rehearse(cluster: Cluster) -> str:
    """Return the script of an allocation, and what Slurm says to it; nothing is submitted.

    Raises ClusterUnavailable where Slurm would not take it.
    """
    _require()
    from api.worker import slurm

    return slurm.rehearse(cluster)


def _require() -> None:
    """Raise ClusterUnavailable where Parsl or a program of Slurm is missing here."""
    if find_spec("parsl") is None:
        raise ClusterUnavailable("Parsl is missing: pip install 'nano-os[cluster]'.")
    for program in PROGRAMS:
        if shutil.which(program) is None:
            raise ClusterUnavailable(
                f"Slurm's program {program} is missing: start the worker where jobs are submitted."
            )
