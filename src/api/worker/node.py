"""What happens on a node of a cluster: one task, within what is left of the allocation."""

from __future__ import annotations

import os
import pickle
import platform
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from api.errors import AllocationLost, Cancelled
from api.services.results import Run
from api.worker.cluster import Cluster
from api.worker.executor import Limits
from api.worker.folder import Heard, JobFolder
from api.worker.perform import Task
from api.worker.supervise import carry_out
from nanoos.errors import Interrupted, NanoError, WallTimeExceeded

ENDS_AT = "NANO_OS_ALLOCATION_ENDS_AT"
"""Variable of an allocation's script: when Slurm ends it, in s since 1970."""
SPARE_S = 5.0
"""How long before that a task is ended, so that what it has done is told and kept."""
LAST_S, LAST_SHARE = 120.0, 0.2
"""How long before that an allocation takes no tasks any more; of a short one, this share. Programs
that can go on elsewhere stop later than that, or would be taken again."""
WHOLE = 0.9
"""A task that had so much of an allocation's time had all of it, for another gives no more."""


def run_task(parcel: bytes, parsl_resource_specification: Mapping[str, Any] | None = None) -> bytes:
    """Run the task, folder, limits and cluster of ``parcel``; return the pickled outcome or error.

    It is kept in the folder as well. What travels is pickled here, since Parsl is slower at it.
    """
    task, folder, limits, cluster = pickle.loads(parcel)  # noqa: S301 - from our own worker
    if folder.is_cancelled:
        return pickle.dumps(Cancelled())
    if time_left_s() == 0:
        time.sleep(SPARE_S)  # else this would be done with one task after another at once
        return pickle.dumps(Cancelled())
    begin(folder)
    launcher = _launcher(cluster, task.resources, parsl_resource_specification or {})
    came = pickle.dumps(_carried_out(replace(task, launcher=launcher), folder, limits, cluster))
    keep(folder, came)
    return came


def _carried_out(
    task: Task, folder: JobFolder, limits: Limits, cluster: Cluster
) -> Run | NanoError:
    left_s = time_left_s()
    given_s = limits.wall_time_s
    ends_first = left_s is not None and (given_s is None or given_s > left_s)
    if ends_first:
        task, limits = replace(task, wall_time_s=left_s), replace(limits, wall_time_s=left_s)
    try:
        return carry_out(task, folder, limits)
    except Interrupted as error:  # it goes on in the next one, and that is no failure
        return Cancelled() if ends_first else error
    except WallTimeExceeded as error:
        return _time_is_over(left_s, cluster) if left_s is not None and ends_first else error
    except NanoError as error:
        return error


def _time_is_over(had_s: float, cluster: Cluster) -> NanoError:
    """Return the error of a task that had so long, in s, until its allocation ended."""
    if had_s < WHOLE * (cluster.wall_time_s - SPARE_S):
        return AllocationLost("The time of its allocation was over.")
    return WallTimeExceeded(
        f"The job was ended after {had_s:.0f} s, when its allocation's time was over; another has"
        " no more. Describe the cluster with a longer wall_time, and retry the job."
    )


def _launcher(
    cluster: Cluster, wanted: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[str, ...]:
    """Return the words before a parallel program's command; none where one process is wanted."""
    ranks = int(wanted.get("ranks", 1))
    if not given and ranks == 1:
        return ()
    hosts = os.environ.get("PARSL_MPI_NODELIST", _node()) if given else _node()
    return cluster.launch_words(nodes=given.get("num_nodes", 1), ranks=ranks, hosts=hosts)


def time_left_s() -> float | None:
    """Return how long a task may still take in this allocation, in s; None where nobody knows."""
    ends_at = os.environ.get(ENDS_AT)
    return None if ends_at is None else max(0.0, float(ends_at) - time.time() - SPARE_S)


def last_s(cluster: Cluster) -> int:
    """Return how long before its end an allocation takes no tasks any more, in s."""
    return int(SPARE_S + min(LAST_S, LAST_SHARE * cluster.wall_time_s))


def begin(folder: JobFolder) -> None:
    """Say in the folder that the task has begun, and where."""
    allocation = os.environ.get("SLURM_JOB_ID", "none")
    where = f"on {_node()} in allocation {allocation}"
    with suppress(OSError):  # a full disk, or a folder that nobody wants any more
        _began(folder).write_text(where)
        folder.tell(Heard(0.0, f"begins {where}"))


def where_begun(folder: JobFolder) -> str | None:
    """Return where the task has begun, in words; None if it has not."""
    try:
        return _began(folder).read_text()
    except FileNotFoundError:
        return None


def keep(folder: JobFolder, came: bytes) -> None:
    """Keep what came of a task in its folder, whole or not at all."""
    new = folder.path / "came.new"
    with suppress(OSError):
        new.write_bytes(came)
        new.replace(folder.path / "came")


def kept(folder: JobFolder) -> Run | NanoError | None:
    """Return what came of a task whose node is lost; None where it had not ended."""
    try:
        came: Run | NanoError = pickle.loads((folder.path / "came").read_bytes())  # noqa: S301
    except FileNotFoundError:
        return None
    return came


def _node() -> str:
    return os.environ.get("SLURMD_NODENAME", platform.node())


def _began(folder: JobFolder) -> Path:
    return folder.path / "began"
