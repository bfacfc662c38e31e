"""One import: sources are found, read in other processes, and stored in batches.

Everything is bounded, so memory stays the same whatever comes in. Each batch is one
transaction: an import that was interrupted is done again, and what it had stored is recognised.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from api.db import RETRIED, Sessions, retried, sqlstate
from api.errors import DatabaseFull
from api.schemas.structure import FailedFile, ImportReport
from api.services import known_files
from api.services.known_files import known_as
from api.services.structure_import import Found, Terms, store_
from api.services.structure_rows import READ, Reading, Refusal
from nanoos.errors import NanoError
from nanoos.parsers import Source, Unfound
from nanoos.processes import Answer, Limits, Pool

BATCH = 1000
"""Structures stored in one transaction,"""
BATCH_BYTES = 16 * 1024**2
"""or as many as amount to this,"""
BATCH_S = 2.0
"""or have come in this time."""
FOUND = 256
"""Files that are found ahead,"""
FOUND_BYTES = 4 * 1024**2
"""or as many as hold this in memory."""
REFUSED = {"22", "23", "54"}
"""Classes of errors that lie in a row: data, constraint, program limit."""
FULL = "53"
"""Class of insufficient resources: disk, memory."""


@dataclass(slots=True)
class Progress:
    """How far an import is. ``bytes`` are those of the content read so far, uncompressed."""

    structures: int = 0
    failed: int = 0
    bytes: int = 0


class Intake:
    """Brings structures in on given terms; ``report`` says at any time what came of it so far.

    ``format_`` names the format of all sources; with ``again`` known ones are read, too.
    """

    def __init__(
        self,
        sessions: Sessions,
        terms: Terms,
        workers: int,
        report: ImportReport | None = None,
        *,
        format_: str | None = None,
        again: bool = False,
        failed: Callable[[FailedFile], None] = lambda _: None,
        progress: Callable[[Progress], None] = lambda _: None,
        limits: Limits | None = None,
    ) -> None:
        self.report = report or ImportReport()
        self._sessions = sessions
        self._terms = terms
        self._workers = workers
        self._tell_failed = failed
        self._tell = progress
        self._limits = limits
        self._format = format_
        self._is_again = again
        self._progress = Progress()
        self._begun: Counter[str] = Counter()  # bytes read of sources that go on

    async def run(self, sources: Iterable[Source | Unfound]) -> ImportReport:
        """Bring all sources in. Raises DatabaseFull, ProcessesError, and what the database does."""
        async with self._sessions() as session:
            are_known = await known_files.there_are_any(session, self._terms)
        finder = _Finder(sources, hashed=are_known and not self._is_again)
        async with Pool[Reading](READ, self._workers, self._limits) as pool:
            try:
                await pool.run(self._feed(pool, finder), self._collect(pool))
            finally:
                finder.close()
        return self.report

    async def _feed(self, pool: Pool[Reading], finder: _Finder) -> None:
        """Give the pool what is not known yet."""
        while found := await finder.next():
            known = await self._recognise(found)
            for one in found:
                source, error = one.source, one.error
                if error is not None or isinstance(source, Unfound):
                    self._fail(source.name, str(error), getattr(error, "line", None))
                elif (n_structures := known.get(one.sha256 or "")) is None:
                    await pool.put(Reading(source, self._format), _size(source))
                else:
                    self.report.existing += n_structures
                    self._done(source, n_structures)
        await pool.finish()

    async def _recognise(self, found: list[_Candidate]) -> dict[str, int]:
        files = [
            (one.sha256, known_as(one.source))
            for one in found
            if one.sha256 is not None and isinstance(one.source, Source)
        ]
        if not files:
            return {}

        async def recognise(session: AsyncSession) -> dict[str, int]:
            return await known_files.recognise(session, files, self._terms, self._format)

        return await retried(self._sessions, recognise)

    async def _collect(self, pool: Pool[Reading]) -> None:
        """Store in batches what the pool reads."""
        batch = _Batch()
        answer: Answer[Reading] | None
        is_end = False
        while not is_end:
            try:
                async with asyncio.timeout(batch.left_s()):
                    answer = await pool.answer()
            except TimeoutError:
                pass
            else:
                is_end = answer is None
                if answer is not None:
                    self._take(answer, batch)
            if batch.found and (is_end or batch.is_due()):
                await self._store(batch.found)
                batch = _Batch()

    def _take(self, answer: Answer[Reading], batch: _Batch) -> None:
        source = answer.item.source
        name = known_as(source)
        for result in answer.results:
            if isinstance(result, Refusal):
                self._fail(source.name, *result)
            elif reason := self._terms.refuse(result):
                self._fail(source.name, reason, place=result.place)
            else:
                batch.add(Found(result, name))
        read = sum(getattr(result, "length", 0) for result in answer.results)
        self._begun[source.name] += read
        self._progress.bytes += read
        if answer.failure is not None:
            self._fail(source.name, answer.failure.message, answer.failure.line)
        if answer.is_end:
            self._done(source)
        else:
            self._tell(self._progress)

    def _done(self, source: Source, structures: int = 0) -> None:
        self._progress.structures += structures
        self._progress.bytes += _size(source) - self._begun.pop(source.name, 0)
        source.discard()
        self._tell(self._progress)

    def _fail(
        self, name: str, error: str, line: int | None = None, place: int | None = None
    ) -> None:
        failed = FailedFile(file=name, error=error, line=line, place=place)
        self.report.fail(failed)
        self._tell_failed(failed)
        self._progress.failed += 1
        self._tell(self._progress)

    async def _store(self, found: list[Found]) -> None:
        """Store a batch; rows that the database refuses are reported, and the others go in."""
        try:
            stored = await retried(
                self._sessions, lambda session: store_(session, found, self._terms)
            )
        except DBAPIError as error:
            state = sqlstate(error)
            if state[:2] == FULL:
                raise DatabaseFull(
                    f"{DatabaseFull.__doc__} It says: {_cause(error)}."
                    " What is stored stays; make room and give the command again."
                ) from error
            if state[:2] in REFUSED and state not in RETRIED:
                await self._store_apart(found, error)
                return
            raise
        new = sum(one.is_new for one in stored)
        self.report.imported += new
        self.report.existing += len(stored) - new
        self._progress.structures += len(stored)
        self._tell(self._progress)

    async def _store_apart(self, found: list[Found], error: DBAPIError) -> None:
        if len(found) > 1:
            half = len(found) // 2
            await self._store(found[:half])
            await self._store(found[half:])
            return
        ((row, name),) = found
        said = f"The database refuses it: {_cause(error)}."
        self._fail(name or "", said, place=row.place)


@dataclass(slots=True)
class _Batch:
    found: list[Found] = field(default_factory=list)
    size: int = 0
    began: float = 0.0

    def add(self, one: Found) -> None:
        if not self.found:
            self.began = time.monotonic()
        self.found.append(one)
        self.size += len(one.row.fields)

    def left_s(self) -> float | None:
        """Return for how long it may still wait for more."""
        return BATCH_S - (time.monotonic() - self.began) if self.found else None

    def is_due(self) -> bool:
        left_s = self.left_s()
        is_over = left_s is not None and left_s <= 0
        return is_over or len(self.found) >= BATCH or self.size >= BATCH_BYTES


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A source that was found, its hash if it is to be looked up, or what is wrong with it."""

    source: Source | Unfound
    sha256: str | None = None
    error: NanoError | None = None


class _Finder:
    """Finds sources in a thread of its own: a slow disk or a pipe must not hold up the rest."""

    def __init__(self, sources: Iterable[Source | Unfound], *, hashed: bool) -> None:
        self._sources = sources
        self._hashed = hashed
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._changed = threading.Condition()
        self._found: list[_Candidate] = []
        self._size = 0
        self._is_closed = self._is_finished = False
        self._failure: BaseException | None = None
        # A daemon: what blocks in reading from a pipe cannot be interrupted.
        threading.Thread(target=self._find, daemon=True).start()

    async def next(self) -> list[_Candidate]:
        """Return what was found meanwhile, nothing at the end; raises what finding raised."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            with self._changed:
                found, self._found, self._size = self._found, [], 0
                is_finished = self._is_finished
                self._changed.notify()
            if found or is_finished:
                break
        if is_finished:
            self._wake.set()  # also for the call after this one
            if not found and self._failure is not None:
                raise self._failure
        return found

    def close(self) -> None:
        """Find nothing more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def _find(self) -> None:
        try:
            for source in self._sources:
                self._add(self._looked_at(source))
                if self._is_closed:
                    return
        except BaseException as error:  # noqa: BLE001 - raised where it is awaited
            self._failure = error
        with self._changed:
            self._is_finished = True
        self._tell()

    def _add(self, one: _Candidate) -> None:
        with self._changed:
            while not self._is_closed and (len(self._found) >= FOUND or self._size >= FOUND_BYTES):
                self._changed.wait()
            is_first = not self._found
            self._found.append(one)
            self._size += len(getattr(one.source, "data", None) or b"")
        if is_first:
            self._tell()

    def _tell(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody wants to know
            self._loop.call_soon_threadsafe(self._wake.set)

    def _looked_at(self, source: Source | Unfound) -> _Candidate:
        if isinstance(source, Unfound):
            return _Candidate(source, error=source.error)
        try:
            return _Candidate(source, source.sha256 if self._hashed else None)
        except NanoError as error:
            source.discard()
            return _Candidate(source, error=error)


def _cause(error: DBAPIError) -> str:
    """Return what the database says, without the driver's additions."""
    return re.sub(r"^<class '[^']*'>: ", "", str(error.orig).partition("\n")[0])


def _size(source: Source) -> int:
    """Return the source's size in bytes, as it lies there."""
    if source.data is not None:
        return len(source.data)
    try:
        return source.path.stat().st_size if source.path else 0
    except OSError:
        return 0  # reading it will say why
