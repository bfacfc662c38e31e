"""A pool of processes that survives what its work does to them.

Items go in, results come out as they are found, in no order between items. An item that
crashes its process, hangs it or fills its memory is reported, and a fresh process goes on
with the others.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Any, Generic, Self, TypeVar

from nanoos.errors import ProcessesError
from nanoos.processes.messages import HEADER_BYTES, MESSAGE_BYTES, READY, Failure, Limits, Part

T = TypeVar("T")

ITEMS_IN_JOB = 32
WEIGHT_OF_JOB = 256 * 1024
JOBS_IN_HAND = 2
"""One that a process works on, and one that it finds when it is done."""
START_S = 120.0
LONG_S = 0.3
"""Items that still wait so long after the first process was ready are worth a second one."""
POLL_S = 0.01
ANSWERS_WAITING = 16
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "RAYON_NUM_THREADS"), "1")
"""Environment in which libraries start no threads: there is a process for each core already."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """Results of an item; after the one that ``is_end`` comes no more of it."""

    item: T
    results: list[Any]
    failure: Failure | None
    is_end: bool


class Pool(Generic[T]):
    """Up to ``size`` processes that do ``work``, ``"module:function"``, for the items put in.

    The function takes an item and yields results, tuples that can be pickled. A process is
    started when there is work for it. Use the pool as a context and run two coroutines `at_once`,
    one that puts items in and one that takes the answers; at the context's end no process is left.
    """

    def __init__(self, work: str, size: int, limits: Limits | None = None) -> None:
        self._work = work
        self._size = size
        self._limits = limits or Limits()
        self._items: asyncio.Queue[tuple[T, int] | None] = asyncio.Queue(2 * ITEMS_IN_JOB * size)
        self._answers: asyncio.Queue[Answer[T] | None] = asyncio.Queue(ANSWERS_WAITING)
        self._n_running = 0
        self._ready_at: float | None = None
        self._is_finished = False

    async def __aenter__(self) -> Self:
        self._slots = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._slots.cancel()
        await asyncio.gather(self._slots, return_exceptions=True)

    async def put(self, item: T, weight: int = 0) -> None:
        """Give an item to the pool, waiting while it has enough.

        ``weight`` is about its size in bytes: light ones are handed out several at a time.
        """
        await self._items.put((item, weight))

    async def finish(self) -> None:
        """Say that no more items come."""
        await self._items.put(None)
        self._is_finished = True

    async def answers(self) -> AsyncIterator[Answer[T]]:
        """Yield what comes of the items until all are done.

        Raises ProcessesError when processes cannot be started.
        """
        while (answer := await self.answer()) is not None:
            yield answer

    async def answer(self) -> Answer[T] | None:
        """Return the next answer, once None when all items are done. Raises ProcessesError."""
        answer = await self._answers.get()
        if answer is None:
            await self._slots
        return answer

    async def _run(self) -> None:
        """Fill all slots until there are no more items, then say so."""
        slots = [asyncio.create_task(self._serve(place)) for place in range(self._size)]
        try:
            await asyncio.gather(*slots)
        except ProcessesError:
            await _cancel(slots)
            await self._answers.put(None)
            raise
        finally:
            await _cancel(slots)
        await self._answers.put(None)

    async def _is_needed(self, place: int) -> bool:
        """Wait until the process of a slot is worth its start; False when no more items come."""
        while True:
            n_waiting = self._items.qsize() - self._is_finished
            is_long = self._ready_at is not None and time.monotonic() - self._ready_at > LONG_S
            if n_waiting and (place == 0 or n_waiting > ITEMS_IN_JOB * place or is_long):
                return True
            if self._is_finished and not n_waiting:
                return False
            await asyncio.sleep(POLL_S)

    async def _serve(self, place: int) -> None:
        """Keep one process busy, and a fresh one when it died, until there are no more items."""
        again: list[T] = []
        while again or await self._is_needed(place):
            self._n_running += 1
            process = await _Process[T].start(self._work, self._limits)
            self._ready_at = self._ready_at or time.monotonic()
            try:
                again = await self._employ(process, again)
            finally:
                self._n_running -= 1
                await process.end()

    async def _employ(self, process: _Process[T], again: list[T]) -> list[T]:
        """Give a process items until there are no more or it died; return what it left undone.

        What another left undone is given first, one by one.
        """
        while True:
            in_hand = len(process.jobs)
            while in_hand < JOBS_IN_HAND:
                job = [again.pop(0)] if again else await self._job(wait=not in_hand)
                if not job:
                    break
                process.give(job)
                in_hand += 1
            if not process.in_hand:
                return []
            if not await self._take(process):
                return [*process.in_hand.values(), *again]

    async def _job(self, *, wait: bool) -> list[T]:
        """Return items for a process, waiting for the first if told to; none when no more come."""
        job: list[T] = []
        weight = 0
        size = min(ITEMS_IN_JOB, 1 + self._items.qsize() // max(self._n_running, 1))
        while len(job) < size and weight < WEIGHT_OF_JOB:
            if self._items.empty() and (job or not wait):
                break
            taken = await self._items.get()
            if taken is None:
                self._items.put_nowait(None)  # for the others
                break
            job.append(taken[0])
            weight += taken[1]
        return job

    async def _take(self, process: _Process[T]) -> bool:
        """Pass on what a process says next; False when it says nothing more, and why."""
        received = await process.receive()
        if isinstance(received, Failure):
            item = process.in_hand.pop(process.culprit())
            await self._answers.put(Answer(item, [], received, is_end=True))
            return False
        for part in received:
            item = process.in_hand[part.number]
            if part.is_end:
                process.done(part.number)
            await self._answers.put(Answer(item, part.results, part.failure, part.is_end))
        return True


@dataclass(slots=True)
class _Process(Generic[T]):
    """A running process and the items it has in hand, by number."""

    popen: asyncio.subprocess.Process
    current: IO[bytes]  # in which it says which item it is at
    limits: Limits
    given: int = 0
    in_hand: dict[int, T] = field(default_factory=dict)
    jobs: deque[int] = field(default_factory=deque)  # the last number of each

    @classmethod
    async def start(cls, work: str, limits: Limits) -> Self:
        """Start a process and wait until it is ready. Raises ProcessesError."""
        current = tempfile.TemporaryFile()  # noqa: SIM115 - kept as long as the process
        arguments = (work, limits.memory_bytes, current.fileno(), os.getpid())
        code = (
            f"import sys; sys.path[:] = {sys.path!r}\n"
            f"from nanoos.processes.child import main; main(*{arguments!r})"
        )
        popen = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            code,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=ONE_THREAD | os.environ,
            pass_fds=(current.fileno(),),
            process_group=0,  # Ctrl-C is its parent's to handle
            limit=2 * MESSAGE_BYTES,
        )
        process = cls(popen, current, limits)
        try:
            ready = await process._message(START_S)
            if ready != READY:
                raise ProcessesError(f"A process for reading does not start: {ready!r}.")
        except BaseException:
            await process.end()
            raise
        return process

    def give(self, job: list[T]) -> None:
        """Send a job, which it may take up later."""
        assert self.popen.stdin is not None  # noqa: S101 - it is a pipe
        for item in job:
            self.in_hand[self.given] = item
            self.given += 1
        self.jobs.append(self.given - 1)
        self.popen.stdin.write(pickle.dumps(job, protocol=5))
        # Not drained: it may be in the middle of a job; what waits here is one job at most.

    def done(self, number: int) -> None:
        """Note the end of an item."""
        del self.in_hand[number]
        while self.jobs and self.jobs[0] < next(iter(self.in_hand), self.given):
            self.jobs.popleft()

    def culprit(self) -> int:
        """Return the number of the item that it is at."""
        at = int.from_bytes(os.pread(self.current.fileno(), 8, 0), "big")
        return at if at in self.in_hand else min(self.in_hand)

    async def receive(self) -> list[Part] | Failure:
        """Return what it sends next, or why nothing comes."""
        message = await self._message(self.limits.silence_s)
        if isinstance(message, Failure):
            return message
        parts: list[Part] = pickle.loads(message)  # noqa: S301 - from our own process
        return parts

    async def _message(self, patience_s: float) -> bytes | Failure:
        assert self.popen.stdout is not None  # noqa: S101 - it is a pipe
        try:
            async with asyncio.timeout(patience_s):
                size = int.from_bytes(await self.popen.stdout.readexactly(HEADER_BYTES), "big")
                return await self.popen.stdout.readexactly(size)
        except TimeoutError:
            return Failure(f"It took longer than {patience_s:g} s.")
        except asyncio.IncompleteReadError:
            return Failure(_cause(await self.popen.wait(), self.limits))

    async def end(self) -> None:
        """Kill it, whatever it is at, and wait for its end."""
        if self.popen.returncode is None:
            self.popen.kill()
        # Its pipes are read to their end, or the transport would be closed by nobody.
        await self.popen.communicate()
        self.current.close()


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        if not task.cancelling():  # it may be at ending its process
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _cause(code: int, limits: Limits) -> str:
    if code >= 0:
        return f"The process that read it ended by itself (exit code {code})."
    name = signal.Signals(-code).name
    memory = ""
    if -code in {signal.SIGKILL, signal.SIGABRT}:
        gigabytes = limits.memory_bytes / 1024**3
        memory = f"; perhaps it needed more than {gigabytes:.2g} GB of memory"
    return f"The process that read it died ({name}){memory}."
