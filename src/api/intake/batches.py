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
from nanoos.processes import Answer, Pool

I = TypeVar("I")  # noqa: E741 - the item of a pool
T = TypeVar("T")

BATCH = 1000
"""Rows stored in one transaction,"""
BATCH_BYTES = 16 * 1024**2
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


@dataclass(slots=True)
class Batch(Generic[T]):
    """What waits for being stored."""

    found: list[T] = field(default_factory=list)
    size: int = 0
    began: float = 0.0

    def add(self, one: T, size: int) -> None:
        """Put in one more, of about so many bytes."""
        if not self.found:
            self.began = time.monotonic()
        self.found.append(one)
        self.size += size

    def left_s(self) -> float | None:
        """Return for how long it may still wait for more."""
        return BATCH_S - (time.monotonic() - self.began) if self.found else None

    def is_due(self) -> bool:
        """Say whether it is full or has waited."""
        left_s = self.left_s()
        is_over = left_s is not None and left_s <= 0
        return is_over or len(self.found) >= BATCH or self.size >= BATCH_BYTES


def in_batches(
    pool: Pool[I],
    take: Callable[[Answer[I], Batch[T]], None],
    store: Callable[[list[T]], Awaitable[None]],
) -> tuple[Coroutine[Any, Any, None], Coroutine[Any, Any, None]]:
    """Return what lets ``take`` fill batches with the pool's answers, and what stores them.

    While one batch is stored, the next is filled; a third waits at most.
    """
    batches: asyncio.Queue[list[T] | None] = asyncio.Queue(1)
    return _fill(pool, take, batches), _store_each(batches, store)


async def _fill(
    pool: Pool[I],
    take: Callable[[Answer[I], Batch[T]], None],
    batches: asyncio.Queue[list[T] | None],
) -> None:
    batch = Batch[T]()
    answer: Answer[I] | None
    is_end = False
    while not is_end:
        try:
            answer = await _answer(pool, batch.left_s())
        except TimeoutError:
            pass
        else:
            is_end = answer is None
            if answer is not None:
                take(answer, batch)
        if batch.found and (is_end or batch.is_due()):
            await batches.put(batch.found)
            batch = Batch[T]()
    await batches.put(None)


async def _answer(pool: Pool[I], left_s: float | None) -> Answer[I] | None:
    """Return the pool's next answer. Raises TimeoutError if there is none in so many seconds."""
    if pool.has_answer:
        return await pool.answer()
    async with asyncio.timeout(left_s):
        return await pool.answer()


async def _store_each(
    batches: asyncio.Queue[list[T] | None], store: Callable[[list[T]], Awaitable[None]]
) -> None:
    while (found := await batches.get()) is not None:
        await store(found)


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
