"""Allocations of Slurm as Parsl makes them; the only module that knows Parsl's classes."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import psutil
from parsl.executors import HighThroughputExecutor, MPIExecutor
from parsl.executors.high_throughput.executor import DEFAULT_LAUNCH_CMD
from parsl.jobs.error_handlers import windowed_error_handler
from parsl.launchers import SimpleLauncher, SrunLauncher
from parsl.providers import SlurmProvider
from parsl.providers.errors import SubmitException

from api.errors import ClusterUnavailable
from api.worker.cluster import Cluster
from api.worker.node import ENDS_AT, last_s

SECRETS = ("DATABASE_URL", "DATABASE_URL_DIRECT", "NANO_OS_PASSWORD")
"""Variables that no allocation is given: nodes see no database."""
FAILED_IN_A_ROW = 5
"""So many allocations that ended before they could take a task, and the cluster is given up."""
SLURM_TIMEOUT_S = 60

E = TypeVar("E", bound=Any)

_WORKER_POOL = "parsl.executors.high_throughput.process_worker_pool"
_END_WITH_PARENT = """
import ctypes, runpy, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
runpy.run_module("parsl.executors.high_throughput.interchange", run_name="__main__")
"""


class Slurm(SlurmProvider):
    """Asks Slurm for allocations of a cluster, and gives them no secrets."""

    def __init__(self, cluster: Cluster, launcher: Any) -> None:
        options = ("--no-requeue", *cluster.options)  # Parsl asks for another one by itself
        hours, seconds = divmod(cluster.wall_time_s, 3600)
        super().__init__(
            partition=cluster.partition,
            account=cluster.account,
            nodes_per_block=cluster.nodes,
            cores_per_node=cluster.cores_per_node,
            mem_per_node=cluster.memory_gb_per_node,
            exclusive=cluster.exclusive,
            init_blocks=0,
            min_blocks=0,
            max_blocks=cluster.max_allocations,
            walltime=f"{hours}:{seconds // 60:02}:{seconds % 60:02}",
            scheduler_options="\n".join(f"#SBATCH {option}" for option in options),
            worker_init="\n".join(_first(cluster)),
            cmd_timeout=SLURM_TIMEOUT_S,
            launcher=launcher,
        )
        self.poll_s = cluster.poll_s

    @property
    def status_polling_interval(self) -> float:
        """Seconds between looks at Slurm's queue."""
        return self.poll_s

    def execute_wait(self, cmd: str, timeout: int | None = None) -> Any:
        """Run one of Slurm's programs without the secrets, as allocations inherit its variables."""
        without = " ".join(f"-u {name}" for name in SECRETS)
        return super().execute_wait(f"env {without} {cmd}", timeout)


class Rehearsal(Slurm):
    """Asks Slurm what it would say, and submits nothing."""

    def execute_wait(self, cmd: str, timeout: int | None = None) -> Any:
        """Run sbatch with its own test."""
        program, _, rest = cmd.partition(" ")
        return super().execute_wait(
            f"sbatch --test-only {rest}" if program == "sbatch" else cmd, timeout
        )


class _GivesBack:
    """Gives back allocations that are idle; Parsl alone takes one that only begins for idle."""

    def scale_in(self, blocks: int, max_idletime: float | None = None) -> list[str]:
        """End at most ``blocks`` allocations, of those that were idle for so long, in s."""
        executor: Any = self
        if max_idletime is None:
            ended: list[str] = super().scale_in(blocks)  # type: ignore[misc]
            return ended
        at_work: set[str] = set()
        idle: set[str] = set()
        for manager in executor.connected_managers():
            is_idle = manager["tasks"] == 0 and manager["idle_duration"] > max_idletime
            (idle if is_idle else at_work).add(manager["block_id"])
        chosen = sorted(idle - at_work)[:blocks]
        for block in chosen:
            executor._hold_block(block)
        executor.provider.cancel([executor.blocks_to_job_id[block] for block in chosen])
        return chosen


class SharedNodes(_GivesBack, HighThroughputExecutor):
    """Tasks that share nodes."""


class WholeNodes(_GivesBack, MPIExecutor):
    """Tasks that get nodes for themselves, for parallel programs."""


def shared(cluster: Cluster) -> SharedNodes:
    """Return the executor of tasks that share nodes, not yet started."""
    per_node = SrunLauncher(overrides=f"--cpus-per-task={cluster.cores_per_node}")
    executor = SharedNodes(
        label="shared",
        cores_per_worker=cluster.cores_per_job,
        max_workers_per_node=cluster.jobs_per_node,
        provider=Slurm(cluster, per_node if cluster.nodes > 1 else SimpleLauncher()),
        **_in_common(cluster),
    )
    return _reachable(executor, cluster)


def whole(cluster: Cluster) -> WholeNodes:
    """Return the executor of tasks that get nodes for themselves, not yet started."""
    executor = WholeNodes(
        label="whole",
        max_workers_per_block=cluster.nodes,
        mpi_launcher="srun",
        provider=Slurm(cluster, SimpleLauncher()),
        **_in_common(cluster),
    )
    return _reachable(executor, cluster)


def pending(executors: Iterable[Any]) -> tuple[str, str] | None:
    """Return the number of the first allocation that waits, and Slurm's reason; None if none."""
    asked = [job for one in executors for job in getattr(one, "job_ids_to_block", ())]
    if not asked:
        return None
    command = ["squeue", "--noheader", "--states=PD", "--format=%i %r", f"--jobs={','.join(asked)}"]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=SLURM_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return None
    first, _, reason = answer.stdout.partition("\n")[0].partition(" ")
    return (first, reason) if first else None


def has_died(executor: Any) -> bool:
    """Whether what passes tasks to the nodes has ended by itself, which Parsl does not notice."""
    passes = getattr(executor, "interchange_proc", None)
    return passes is not None and passes.poll() is not None


def rehearse(cluster: Cluster) -> str:
    """Return the script of an allocation, and what Slurm says to it; nothing is submitted.

    Raises ClusterUnavailable where Slurm would not take it.
    """
    provider = Rehearsal(cluster, SimpleLauncher())
    with TemporaryDirectory() as folder:
        provider.script_dir = folder
        try:
            provider.submit(f"{_python(cluster)} -m {_WORKER_POOL} …", 1, "nano-os")
        except SubmitException as error:  # what is not submitted has no number
            script = next(Path(folder).iterdir()).read_text().strip()
            if error.retcode:
                raise ClusterUnavailable(f"Slurm refuses this:\n{script}\n{error.stderr}") from None
            return f"{script}\n\n{error.stderr.strip()}"
    raise AssertionError("sbatch submitted a test")


def _first(cluster: Cluster) -> list[str]:
    """Return the lines of shell that begin an allocation."""
    exports = [f"export {name}={shlex.quote(value)}" for name, value in cluster.environment.items()]
    return [
        f"export {ENDS_AT}=$(( $(date +%s) + {cluster.wall_time_s} ))",
        *cluster.setup,
        *exports,
    ]


def _in_common(cluster: Cluster) -> dict[str, Any]:
    return {
        "address": cluster.address or "127.0.0.1",
        "heartbeat_period": max(1, cluster.silence_s // 4),
        "heartbeat_threshold": cluster.silence_s,
        "launch_cmd": DEFAULT_LAUNCH_CMD.replace(
            "process_worker_pool.py", f"{_python(cluster)} -m {_WORKER_POOL}"
        ).replace("{drain_period}", f"$(( {ENDS_AT} - $(date +%s) - {last_s(cluster)} ))"),
        "block_error_handler": _give_up,
        "encrypted": True,
    }


def _reachable(executor: E, cluster: Cluster) -> E:
    """Return it as nodes can reach it, and as it ends with this process."""
    executor.interchange_launch_cmd = [sys.executable, "-c", _END_WITH_PARENT]
    if cluster.address is None:
        executor.address, executor.all_addresses = None, _addresses()
    return executor


def _give_up(executor: Any, status: Mapping[str, Any]) -> None:
    windowed_error_handler(executor, dict(status), FAILED_IN_A_ROW)


def _python(cluster: Cluster) -> str:
    return shlex.quote(cluster.python or sys.executable)


def _addresses() -> set[str]:
    """Return the addresses of this machine; Parsl alone would ask the internet for one more."""
    return {
        address.address
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family.name == "AF_INET"
    }
