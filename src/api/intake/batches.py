"""Answers of a pool stored in batches, each in one transaction, repeated where it must be."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from sqlalchemy.exc import DBAPIError

from api.db import RETRIED, sqlstate
from api.errors import DatabaseFull
from api.schemas.structure import FailedFile, ImportReport
from nanoos.processes import Answer, Pool, at_once

I = TypeVar("I")  # noqa: E741 - the item of a pool
T = TypeVar("T")

BATCH = 1000
"""Rows stored in one transaction,"""
BATCH_BYTES = 8 * 1024**2
"""or as many as amount to this,"""
BATCH_S = 2.0
"""or have come in this time."""
REFUSED = {"22", "23", "54"}
"""Classes of errors that lie in a row: data, constraint, program limit."""
FULL = "53"
"""Class of insufficient resources: disk, memory."""


@dataclass(slots=True)
class Progress:
    """How far an import is. ``bytes`` are those of the content read so far, uncompressed."""

    stored: int = 0
    failed: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Account:
    """What came of an import so far, and who is told: of each failure, and how far it is."""

    report: ImportReport
    tell_failed: Callable[[FailedFile], None]
    tell: Callable[[Progress], None]
    progress: Progress = field(default_factory=Progress)

    def fail(
        self, name: str, error: str, line: int | None = None, place: int | None = None
    ) -> None:
        """Note what could not be read or stored."""
        failed = FailedFile(file=name, error=error, line=line, place=place)
        self.report.fail(failed)
        self.tell_failed(failed)
        self.progress.failed += 1
        self.tell(self.progress)

    def stored(self, new: int, existing: int) -> None:
        """Note how many were new, and how many there already."""
        self.report.imported += new
        self.report.existing += existing
        self.progress.stored += new + existing
        self.tell(self.progress)

    def passed(self, size_bytes: int) -> None:
        """Note so many more bytes that are done with."""
        self.progress.bytes += size_bytes
        self.tell(self.progress)


class Lane(Generic[T]):
    """What waits for being stored by one session."""

    def __init__(self) -> None:
        self._found: list[T] = []
        self._size = 0
        self._began = 0.0
        self._is_end = False
        self._changed = asyncio.Event()
        self._taken = asyncio.Event()

    def add(self, one: T, size: int) -> None:
        """Put in one more, of about so many bytes."""
        if not self._found:
            self._began = time.monotonic()
            self._changed.set()
        self._found.append(one)
        self._size += size
        if self._is_batch():
            self._changed.set()

    def end(self) -> None:
        """Say that no more comes."""
        self._is_end = True
        self._changed.set()

    async def room(self) -> None:
        """Wait while there is a whole batch."""
        while self._is_batch():
            self._taken.clear()
            await self._taken.wait()

    async def store(self, store: Callable[[list[T]], Awaitable[None]]) -> None:
        """Store batches until no more comes; while one is stored, the next is filled."""
        while found := await self._batch():
            await store(found)

    async def _batch(self) -> list[T]:
        """Wait until there is a batch, or what there is has waited; take it, nothing at the end."""
        while not (self._is_end or self._is_batch() or self._left_s() == 0):
            await self._change()
        found, self._found, self._size = self._found, [], 0
        self._taken.set()
        return found

    async def _change(self) -> None:
        """Wait until there is something, or enough, or what there is has waited."""
        self._changed.clear()
        left_s = self._left_s()
        loop = asyncio.get_running_loop()
        timer = None if left_s is None else loop.call_later(left_s, self._changed.set)
        try:
            await self._changed.wait()
        finally:
            if timer is not None:
                timer.cancel()

    def _is_batch(self) -> bool:
        return len(self._found) >= BATCH or self._size >= BATCH_BYTES

    def _left_s(self) -> float | None:
        """Return for how long it may still wait for more."""
        return max(0.0, BATCH_S - (time.monotonic() - self._began)) if self._found else None


class Waiting(Generic[T]):
    """What waits for being stored, by one session or by several at once."""

    def __init__(self, sessions: int = 1) -> None:
        self._lanes = [Lane[T]() for _ in range(sessions)]

    def add(self, one: T, size: int, key: int = 0) -> None:
        """Put in one more, of about so many bytes; what has one key is stored by one session."""
        self._lanes[key % len(self._lanes)].add(one, size)

    def end(self) -> None:
        """Say that no more comes."""
        for lane in self._lanes:
            lane.end()

    async def room(self) -> None:
        """Wait while a session is behind by a batch."""
        for lane in self._lanes:
            await lane.room()

    async def store(self, store: Callable[[list[T]], Awaitable[None]]) -> None:
        """Store what is put in until no more comes."""
        await at_once(*(lane.store(store) for lane in self._lanes))


def in_batches(
    pool: Pool[I],
    take: Callable[[Answer[I], Waiting[T]], None],
    store: Callable[[list[T]], Awaitable[None]],
    sessions: int = 1,
) -> tuple[Coroutine[Any, Any, None], Coroutine[Any, Any, None]]:
    """Return what lets ``take`` put in what the pool answers, and what stores it in batches."""
    waiting = Waiting[T](sessions)
    return _fill(pool, take, waiting), waiting.store(store)


async def _fill(
    pool: Pool[I], take: Callable[[Answer[I], Waiting[T]], None], waiting: Waiting[T]
) -> None:
    async for answer in pool.answers():
        take(answer, waiting)
        await waiting.room()
    waiting.end()


async def store_or_refuse(
    found: list[T],
    store: Callable[[list[T]], Awaitable[None]],
    refuse: Callable[[T, str], None],
) -> None:
    """Store what was found; what the database refuses is reported, and the others go in.

    Raises DatabaseFull, and what else the database does.
    """
    try:
        await store(found)
    except DBAPIError as error:
        state = sqlstate(error)
        if state[:2] == FULL:
            raise DatabaseFull(
                f"{DatabaseFull.__doc__} It says: {_cause(error)}."
                " What is stored stays; make room and give the command again."
            ) from error
        if state[:2] not in REFUSED or state in RETRIED:
            raise
        if len(found) == 1:
            refuse(found[0], f"The database refuses it: {_cause(error)}.")
            return
        half = len(found) // 2
        await store_or_refuse(found[:half], store, refuse)
        await store_or_refuse(found[half:], store, refuse)


def _cause(error: DBAPIError) -> str:
    """Return what the database says, without the driver's additions."""
    return re.sub(r"^<class '[^']*'>: ", "", str(error.orig).partition("\n")[0])
