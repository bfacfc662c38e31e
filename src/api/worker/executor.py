"""What the worker needs of whatever runs its tasks: processes of this machine, or a cluster."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol, Self

from api.services.queue import Claim
from api.services.results import Run
from api.worker.folder import JobFolder
from api.worker.perform import Task


@dataclass(frozen=True, slots=True)
class Limits:
    """What a task may take; None is as much as there is.

    Parameters
    ----------
    wall_time_s
        From when it is begun, in s.
    memory_bytes
        Resident in all of its processes together.
    """

    wall_time_s: float | None = None
    memory_bytes: int | None = None

    @classmethod
    def of(cls, claim: Claim) -> Self:
        """Return what the claimed job may take."""
        mb = claim.memory_limit_mb
        return cls(claim.wall_time_limit_s, None if mb is None else mb * 10**6)


class Executor(Protocol):
    """Runs tasks, each in processes of its own.

    ``api.worker.supervise.carry_out`` does all that is asked of a task here, in any process that
    sees the folder; an executor only has to call it where there is room.
    """

    slots: int
    """Tasks that it takes at once."""

    def submit(self, task: Task, folder: JobFolder, limits: Limits) -> Future[Run]:
        """Begin a task in its folder, which is made, and return at once.

        What comes of it is the future's: a Run, or a NanoError. EngineCrashed means that the
        task's own processes died, and nothing else did; WallTimeExceeded and MemoryExceeded that
        they were ended. After ``folder.cancel()`` it ends within 5 s with Cancelled, unless it
        ended before. When the future is done, no process of the task is left. A future that has
        not begun can be cancelled.
        """

    def close(self) -> None:
        """End whatever still runs, and wait for that."""
