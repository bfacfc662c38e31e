"""The worker's loop: claim, run elsewhere, heartbeat, store.

No transaction is open while an engine runs. The worker holds an advisory lock
on a session of its own, by which others see at once that it has died.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import platform
import secrets
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from queue import Empty
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import text

from api.db import Sessions
from api.errors import LostLease
from api.services import maintenance, queue, results
from api.services.queue import Claim
from api.services.results import Run
from api.services.simulations import QUEUE_CHANNEL
from api.settings import Settings
from api.worker.perform import Task, perform, set_up
from nanoos.errors import EngineError, NanoError
from pgsteady.errors import ServerUnreachable
from pgsteady.maintenance import CHANNEL, Maintenance

PROGRESS_POLL_S = 0.5

Event = Literal["claimed", "succeeded", "failed", "lost", "handed back"]
Listener = Callable[[Event, Claim, str], None]
Note = Callable[[str], None]


@dataclass
class Heard:
    """The last an engine's process said of its job."""

    progress: float = 0.0
    message: str = ""


@contextlib.contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Block SIGINT for the processes started inside: Ctrl-C is the worker's to handle."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


class Worker:
    """Runs jobs of the queue, ``slots`` at a time.

    With ``drain`` it ends when nothing is left to claim; otherwise it waits for
    more until ``stop`` is called, which hands running jobs back. While maintenance is
    on, nothing can be claimed; ``note`` is told so.
    """

    def __init__(
        self,
        sessions: Sessions,
        settings: Settings,
        *,
        slots: int = 1,
        drain: bool = False,
        listener: Listener = lambda *_: None,
        note: Note = lambda _: None,
    ) -> None:
        self._sessions = sessions
        self._settings = settings
        self._slots = slots
        self._drain = drain
        self._tell = listener
        self._note = note
        self._maintenance: Maintenance | None = None
        self._number = secrets.randbelow(2**31)
        self._wake = asyncio.Event()
        self._stopping = False
        self._running: set[asyncio.Task[None]] = set()
        self._heard: dict[UUID, Heard] = {}
        context = multiprocessing.get_context("spawn")
        self._reports = context.Queue()
        self._context = context
        self._free = [self._new_executor() for _ in range(slots)]
        self._fault: BaseException | None = None

    def _new_executor(self) -> Executor:
        """Return an executor for one slot; a crash in one slot does not touch the others."""
        return ProcessPoolExecutor(
            1,
            mp_context=self._context,
            initializer=set_up,
            initargs=(self._reports.put, os.getpid()),
        )

    def stop(self) -> None:
        """Claim nothing more, hand running jobs back, and end."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Work until drained or stopped; raises what kept it from going on."""
        try:
            async with self._alive():
                while not self._stopping:
                    await self._fill()
                    if self._drain and not self._running:
                        break
                    await self._wait()
                await self._hand_all_back()
        finally:
            for child in multiprocessing.active_children():
                child.kill()
            for executor in self._free:
                executor.shutdown()  # its thread ends as its process is gone; wait for that
        if self._fault is not None:
            raise self._fault

    @contextlib.asynccontextmanager
    async def _alive(self) -> AsyncIterator[None]:
        """Hold the worker's lock and listen for submissions on one session, kept throughout."""
        async with self._sessions() as session:
            connection = await session.connection(
                execution_options={"isolation_level": "AUTOCOMMIT"}
            )
            await connection.execute(
                text("SELECT pg_advisory_lock(:lock_class, :number)"),
                {"lock_class": queue.WORKER_LOCK_CLASS, "number": self._number},
            )
            driver: Any = (await connection.get_raw_connection()).driver_connection
            await driver.add_listener(QUEUE_CHANNEL, self._notified)
            await driver.add_listener(CHANNEL, self._notified)
            driver.add_termination_listener(self._cut_off)
            try:
                yield
            finally:
                driver.remove_termination_listener(self._cut_off)
                await connection.invalidate()  # the session ends, and its lock with it

    def _notified(self, *_: object) -> None:
        self._wake.set()

    def _cut_off(self, *_: object) -> None:
        """End: without its lock, others take this worker for dead and its jobs for theirs."""
        self._fault = ServerUnreachable(
            "The database ended the worker's session.", hint="Start the worker again."
        )
        self.stop()

    async def _hand_all_back(self) -> None:
        await asyncio.sleep(0)  # a task that has not begun could not hand its job back
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)

    async def _fill(self) -> None:
        if not self._free:
            return
        async with self._sessions.begin() as session:
            # In the transaction of the claim: maintenance that is switched on waits for it.
            self._mind(await maintenance.current(session))
            if self._maintenance:
                return
            await queue.recover(session, self._settings.max_attempts)
            claims = await queue.claim(
                session,
                worker=f"{platform.node()}:{os.getpid()}",
                worker_number=self._number,
                limit=len(self._free),
                lease_s=self._settings.lease_s,
            )
            if self._stopping:
                await session.rollback()
                return
        for claim in claims:
            self._tell("claimed", claim, "")
            task = asyncio.create_task(self._attempt(claim, self._free.pop()))
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _mind(self, now: Maintenance | None) -> None:
        before, self._maintenance = self._maintenance, now
        if now and not before:
            self._note(f"Maintenance is on, nothing is claimed: {now.reason}.")
        elif before and not now:
            self._note("Maintenance is over.")

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # The database, most likely: no job can go on.
            self._fault = self._fault or task.exception()
            self.stop()
        self._wake.set()

    async def _wait(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), self._settings.poll_s)
        self._wake.clear()

    async def _attempt(self, claim: Claim, executor: Executor) -> None:
        self._heard[claim.job_id] = Heard()
        try:
            await self._carry_out(claim, executor)
        except LostLease as error:
            self._tell("lost", claim, str(error))
        except asyncio.CancelledError:
            with contextlib.suppress(LostLease):  # it ended a moment before
                async with self._sessions.begin() as session:
                    await queue.hand_back(session, claim)
                self._tell("handed back", claim, "")
        finally:
            del self._heard[claim.job_id]

    async def _carry_out(self, claim: Claim, executor: Executor) -> None:
        """Run the job, and store what came of it."""
        try:
            run = await self._run(claim, executor)
            async with self._sessions.begin() as session:
                await results.store_(session, claim, run)
        except LostLease:
            raise
        except NanoError as error:
            async with self._sessions.begin() as session:
                await queue.fail(session, claim, error)
            self._tell("failed", claim, str(error))
        else:
            self._tell("succeeded", claim, self._heard[claim.job_id].message)

    async def _run(self, claim: Claim, executor: Executor) -> Run:
        """Run the job in the executor, which is free again afterwards, or replaced."""
        try:
            with _without_ctrl_c():
                future = asyncio.get_running_loop().run_in_executor(
                    executor, perform, Task.of(claim)
                )
            await self._heartbeat_until(future, claim)
            return future.result()
        except (BrokenProcessPool, LostLease, asyncio.CancelledError) as error:
            executor.shutdown(wait=False)  # its process is dead, or at a job no longer ours
            executor = self._new_executor()
            if isinstance(error, BrokenProcessPool):
                raise EngineError("The engine's process ended without an answer.") from error
            raise
        finally:
            self._free.append(executor)

    async def _heartbeat_until(self, future: asyncio.Future[Any], claim: Claim) -> None:
        """Wait for the future; meanwhile store progress when it changed, and keep the lease."""
        stored, beat = Heard(), time.monotonic()
        while not (await asyncio.wait({future}, timeout=PROGRESS_POLL_S))[0]:
            self._hear()
            heard = self._heard[claim.job_id]
            if heard == stored and time.monotonic() - beat < self._settings.lease_s / 3:
                continue
            async with self._sessions.begin() as session:
                await queue.heartbeat(
                    session,
                    claim,
                    progress=heard.progress,
                    message=heard.message,
                    lease_s=self._settings.lease_s,
                )
            stored, beat = Heard(heard.progress, heard.message), time.monotonic()
        self._hear()

    def _hear(self) -> None:
        with contextlib.suppress(Empty):
            while True:
                job_id, progress, message = self._reports.get_nowait()
                if job_id in self._heard:
                    self._heard[job_id] = Heard(progress, message)
