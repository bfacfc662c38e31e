"""The worker's loop: claim, have it run elsewhere, heartbeat, store.

No transaction is open while an engine runs. Short jobs are claimed ahead, so that no slot waits
for the database; what is done is stored while its slot is at the next job.
"""

from __future__ import annotations

import asyncio
import os
import platform
import secrets
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.artifacts import Artifacts
from api.db import Sessions
from api.errors import Cancelled, ClusterUnavailable, LostLease
from api.services import maintenance, queue, workers
from api.services.queue import Beat, Claim, Pulse
from api.services.results import Run
from api.settings import Settings
from api.worker.attempt import Attempt, Event
from api.worker.executor import Executor, Limits
from api.worker.files import disk_error
from api.worker.folders import Folders
from api.worker.perform import Task
from api.worker.presence import Presence
from api.worker.storing import Storing
from nanoos.errors import NanoError
from pgsteady.maintenance import Maintenance

BEAT_S = 0.5
"""How often is looked at what jobs say of themselves."""
AHEAD_S = 0.5
"""Jobs are claimed ahead that keep the slots busy for so long, ..."""
MOST_AHEAD = 32
"""... but no more than this."""
HAND_BACK_S = 10.0
"""How long a worker that was stopped waits for a database that does not answer."""

Listener = Callable[[Event, Claim, str], None]
Note = Callable[[str], None]
_EVENTS: dict[str, Event] = {
    "failed": "failed",
    "waiting": "tried again later",
    "cancelled": "cancelled",
}
"""How an attempt ended whose job is now of that status."""


class Worker:
    """Runs jobs of the queue in ``executor``, in ``folders``; it closes both.

    Only jobs with one of ``engines`` are claimed.

    With ``drain`` it ends when nothing is left to claim; otherwise it waits for more until
    ``stop`` is called: running jobs may then finish for ``grace_s``, and go back to the queue
    after that. While maintenance is on, nothing can be claimed; ``note`` is told so.
    """

    def __init__(
        self,
        sessions: Sessions,
        settings: Settings,
        executor: Executor,
        folders: Folders,
        engines: Sequence[str],
        *,
        drain: bool = False,
        grace_s: float = 0.0,
        listener: Listener = lambda *_: None,
        note: Note = lambda _: None,
    ) -> None:
        self._settings = settings
        self._executor = executor
        self._folders = folders
        self._drain = drain
        self._grace_s = grace_s
        self._engines = engines
        self._tell = listener
        self._note = note
        self._number = secrets.randbelow(2**31)
        self._host = f"{platform.node()}:{os.getpid()}"
        self._presence = Presence(
            sessions, self._number, woken=self._woken, returned=self._take_stock, note=note
        )
        self._storing = Storing(self._presence, Artifacts(settings.artifacts))
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._maintenance: Maintenance | None = None
        self._held: dict[UUID, Attempt] = {}
        self._waiting: deque[Attempt] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._n_running = 0
        self._pace_s: float | None = None
        self._is_dry = False
        self._must_beat = False
        self._fault: BaseException | None = None

    def stop(self) -> None:
        """Claim nothing more, let jobs finish for a while, hand the others back, and end."""
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        """Work until drained or stopped; raises what kept it from going on."""
        try:
            async with self._presence.kept():
                await self._presence.do(self._arrive)
                beats = asyncio.create_task(self._beat())
                beats.add_done_callback(self._ended)
                try:
                    await self._work_until_stopped()
                    await self._let_finish()
                finally:
                    beats.cancel()
                    await asyncio.wait({beats})
                    await self._leave()
        finally:
            await asyncio.to_thread(self._executor.close)
            self._folders.close()
        if self._fault is not None:
            raise self._fault

    async def _work_until_stopped(self) -> None:
        work = asyncio.create_task(self._work())
        stopped = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        _, late = await asyncio.wait({work}, timeout=HAND_BACK_S)
        if late:  # the database is away
            work.cancel()
            await asyncio.wait({work})
        else:
            work.result()

    async def _work(self) -> None:
        while not self._stopping.is_set():
            await self._fill()
            self._begin()
            if self._drain and self._is_dry and not self._held and await self._is_drained():
                return
            await self._wait()

    async def _is_drained(self) -> bool:
        """Return whether nothing is to be tried again, either; if so, look again by then."""
        wait_s = await self._presence.do(lambda s: queue.next_try_s(s, self._engines))
        if wait_s is not None:
            asyncio.get_running_loop().call_later(max(wait_s, 0.0), self._woken)
        return wait_s is None

    async def _fill(self) -> None:
        """Claim as many jobs as there is room for, or keeps the slots busy."""
        limit = self._executor.slots + self._ahead() - len(self._waiting) - self._n_running
        if self._is_dry or limit <= self._ahead() / 2 or not self._presence.is_here:
            return
        if any(attempt.claim.is_alone for attempt in self._held.values()):
            return
        claims = await self._presence.do(lambda session: self._claim(session, limit))
        self._is_dry = len(claims) < limit
        for claim in claims:
            folder = self._folders.of(claim.job_id, claim.attempt)
            attempt = self._held[claim.job_id] = Attempt(claim, folder)
            self._waiting.append(attempt)

    def _ahead(self) -> int:
        """How many jobs are claimed before there is a slot for them."""
        if self._pace_s is None:
            return 0
        return min(int(self._executor.slots * AHEAD_S / self._pace_s), MOST_AHEAD)

    async def _claim(self, session: AsyncSession, limit: int) -> list[Claim]:
        # In the transaction of the claim: maintenance that is switched on waits for it.
        self._mind(await maintenance.current(session))
        if self._maintenance:
            return []
        await queue.recover(session, self._settings.max_worker_deaths, self._number)
        return await queue.claim(
            session,
            worker=self._host,
            worker_number=self._number,
            limit=limit,
            lease_s=self._settings.lease_s,
            engines=self._engines,
            idle=not self._held,
        )

    def _mind(self, now: Maintenance | None) -> None:
        before, self._maintenance = self._maintenance, now
        if now and not before:
            self._note(f"Maintenance is on, nothing is claimed: {now.reason}.")
        elif before and not now:
            self._note("Maintenance is over.")

    def _begin(self) -> None:
        """Fill free slots with jobs that wait here."""
        while self._waiting and self._n_running < self._executor.slots:
            attempt = self._waiting.popleft()
            self._n_running += 1
            self._tell("claimed", attempt.claim, "")
            self._start(self._carry_out(attempt))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self._ended)

    async def _carry_out(self, attempt: Attempt) -> None:
        await self._conclude(attempt, await self._run(attempt))

    async def _run(self, attempt: Attempt) -> Run | NanoError:
        """Have the job run; return what came of it once its slot is free again."""
        began = time.monotonic()
        try:
            self._folders.begin(attempt.folder, attempt.claim.job_id)
            if attempt.ends_as is not None:
                return Cancelled()
            attempt.future = self._executor.submit(
                Task.of(attempt.claim), attempt.folder, Limits.of(attempt.claim)
            )
            run = await asyncio.wrap_future(attempt.future)
        except ClusterUnavailable as error:  # no fault of the job
            self._fault = self._fault or error
            self.stop()
            return Cancelled()
        except (NanoError, OSError) as error:
            return error if isinstance(error, NanoError) else disk_error(error, "the job's folder")
        except asyncio.CancelledError:  # its future was, before it began
            return Cancelled()
        else:
            took_s = time.monotonic() - began
            self._pace_s = took_s if self._pace_s is None else (self._pace_s + took_s) / 2
            return run
        finally:
            self._n_running -= 1
            self._wake.set()

    async def _conclude(self, attempt: Attempt, came: Run | NanoError) -> None:
        """Store what came of an attempt, and let go of it."""
        claim, folder = attempt.claim, attempt.folder
        try:
            event, message = await self._store(attempt, came)
        except LostLease as error:
            event, message = "lost", str(error)
        if self._held.get(claim.job_id) is attempt:  # or the job was lost, and is tried here again
            del self._held[claim.job_id]
        self._tell(event, claim, message)
        if event in {"tried again later", "handed back"}:
            await asyncio.to_thread(self._folders.leave, folder, claim.job_id)
        elif event == "failed":
            await asyncio.to_thread(self._folders.fail, folder)
        else:
            await asyncio.to_thread(folder.remove)

    async def _store(self, attempt: Attempt, came: Run | NanoError) -> tuple[Event, str]:
        """Store what came of an attempt; return how it ended, and in words."""
        claim = attempt.claim
        if isinstance(came, Cancelled):
            return await self._give_up(attempt), ""
        failure = came if isinstance(came, NanoError) else await self._keep(claim, came)
        if failure is None:
            return "succeeded", attempt.folder.heard().message
        status = await self._presence.do(lambda session: self._fail(session, claim, failure))
        return _EVENTS[status], str(failure)

    async def _fail(self, session: AsyncSession, claim: Claim, failure: NanoError) -> str:
        return await queue.fail(
            session,
            claim,
            failure,
            max_attempts=self._settings.max_attempts,
            retry_after_s=self._settings.retry_after_s,
        )

    async def _give_up(self, attempt: Attempt) -> Event:
        """Let go of a job whose attempt was ended; return how that ended."""
        event, claim = attempt.ends_as or "handed back", attempt.claim
        if event == "cancelled":
            await self._presence.do(lambda session: queue.cancelled(session, claim))
        elif event == "handed back":
            await self._presence.do(lambda session: queue.hand_back(session, claim))
        return event

    async def _keep(self, claim: Claim, run: Run) -> NanoError | None:
        """Store the result of a job; return why that cannot be done."""
        try:
            await self._storing.store(claim, run)
        except LostLease:
            raise
        except NanoError as error:
            return error
        return None

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Look for more; stop where something failed that is no fault of a job."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fault = self._fault or error
            self.stop()
        if not self._held:
            self._is_dry = False  # what ended may have let others begin
        self._wake.set()

    async def _wait(self) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), self._settings.poll_s)
        except TimeoutError:
            self._is_dry = False
        self._wake.clear()

    def _woken(self) -> None:
        """Look at the queue, and whether jobs at hand are still ours."""
        self._is_dry = False
        self._must_beat = True
        self._wake.set()

    async def _take_stock(self, session: AsyncSession) -> None:
        """Say again that we are there, and give back what was claimed without our knowing."""
        await self._arrive(session)
        await queue.hand_back_strays(
            session, worker=self._host, worker_number=self._number, held=list(self._held)
        )

    async def _leave(self) -> None:
        if self._presence.is_here:
            await self._presence.do(lambda session: workers.leave(session, self._number))

    async def _arrive(self, session: AsyncSession) -> None:
        await workers.arrive(
            session,
            self._number,
            name=self._host,
            engines=self._engines,
            slots=self._executor.slots,
        )

    async def _beat(self) -> None:
        """Keep leases, pass on what jobs say, and mind what is said of them."""
        while True:
            await asyncio.sleep(BEAT_S)
            if beats := self._due():
                ours = await self._sent(beats)
                for beat in beats:
                    if (pulse := ours.get(beat.claim.job_id)) is None:
                        self._end(beat.claim, "lost")
                    elif pulse.is_cancelled:
                        self._end(beat.claim, "cancelled")

    async def _sent(self, beats: list[Beat]) -> dict[UUID, Pulse]:
        lease_s = self._settings.lease_s
        return await self._presence.do(lambda session: queue.heartbeat(session, beats, lease_s))

    def _due(self) -> list[Beat]:
        """Return the heartbeats of jobs that have something to say, or have not said for long."""
        now, due = time.monotonic(), []
        for attempt in self._held.values():
            heard = attempt.folder.heard()
            is_silent = now - attempt.beaten_at > self._settings.lease_s / 3
            if self._must_beat or is_silent or heard != attempt.heard:
                due.append(Beat(attempt.claim, heard.done, heard.message, heard.numbers))
                attempt.heard, attempt.beaten_at = heard, now
        self._must_beat = False
        return due

    def _end(self, claim: Claim, event: Event) -> None:
        """End an attempt, which may have ended by itself meanwhile."""
        attempt = self._held.get(claim.job_id)
        if attempt is None or attempt.claim.attempt != claim.attempt:
            return
        attempt.ends_as = event
        if attempt in self._waiting:
            self._waiting.remove(attempt)
            self._start(self._conclude(attempt, Cancelled()))
            return
        if attempt.future is not None:
            attempt.future.cancel()
        attempt.folder.cancel()

    async def _let_finish(self) -> None:
        """Let running jobs finish for a while, and hand back those that do not."""
        for attempt in list(self._waiting):
            self._end(attempt.claim, "handed back")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._grace_s)
        for attempt in list(self._held.values()):
            self._end(attempt.claim, "handed back")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=HAND_BACK_S)
        for task in self._tasks:  # the database is away; others will find these jobs
            task.cancel()
