"""The executor of this machine: each task in a process here."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from api.services.results import Run
from api.worker import supervise
from api.worker.executor import Limits
from api.worker.folder import JobFolder
from api.worker.perform import Task


class Processes:
    """An `Executor` on this machine; a thread watches over each task."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix="task")

    def submit(self, task: Task, folder: JobFolder, limits: Limits) -> Future[Run]:
        """Begin a task; see `Executor`."""
        return self._threads.submit(supervise.carry_out, task, folder, limits)

    def close(self) -> None:
        """End all processes, and wait for that."""
        self._threads.shutdown(cancel_futures=True)
        supervise.end_all()
