"""One import of structures: sources are found, read in other processes, and stored in batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from api.db import Sessions, retried
from api.intake.batches import Account, Progress, Waiting, in_batches, store_or_refuse
from api.intake.finder import Finder
from api.schemas.structure import FailedFile, ImportReport
from api.services import known_files
from api.services.known_files import known_as
from api.services.structure_import import Found, Imported, Terms, store_
from api.services.structure_rows import READ, Reading, Refusal
from nanoos.errors import NanoError
from nanoos.parsers import Source, Unfound
from nanoos.processes import Answer, Limits, Pool, at_once

SESSIONS = 4
"""Those that store at once at most, each other materials: none waits for those another adds."""
WORKERS_PER_SESSION = 4
"""About so many processes read what one session stores."""


class Intake:
    """Brings structures in on given terms; ``report`` says at any time what came of it so far.

    ``format_`` names the format of all sources; with ``again`` known ones are read, too.
    ``stored`` is told of each batch what was found, and which rows hold it.
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
        stored: Callable[[list[Found], list[Imported]], None] = lambda *_: None,
        limits: Limits | None = None,
    ) -> None:
        self.report = report or ImportReport()
        self._sessions = sessions
        self._terms = terms
        self._workers = workers
        self._stored = stored
        self._limits = limits
        self._format = format_
        self._is_again = again
        self._account = Account(self.report, failed, progress)
        self._n_read = 0
        self._begun: Counter[str] = Counter()  # bytes read of sources that go on

    async def run(self, sources: Iterable[Source | Unfound]) -> ImportReport:
        """Bring all sources in. Raises DatabaseFull, ProcessesError, and what the database does."""
        finder = Finder(_looked_at(sources, hashed=await self._may_be_known()), _held)
        async with Pool[Reading](READ, self._workers, self._limits) as pool:
            try:
                sessions = min(SESSIONS, max(1, self._workers // WORKERS_PER_SESSION))
                batches = in_batches(pool, self._take, self._store, sessions)
                await at_once(self._feed(pool, finder), *batches)
            finally:
                finder.close()
        return self.report

    async def _may_be_known(self) -> bool:
        if self._is_again:
            return False
        async with self._sessions() as session:
            return await known_files.there_are_any(session, self._terms)

    async def _feed(self, pool: Pool[Reading], finder: Finder[_Candidate]) -> None:
        """Give the pool what is not known yet."""
        while found := await finder.next():
            known = await self._recognise(found)
            for one in found:
                source, error = one.source, one.error
                if error is not None or isinstance(source, Unfound):
                    self._account.fail(source.name, str(error), getattr(error, "line", None))
                elif (n_structures := known.get(one.sha256 or "")) is None:
                    reading = Reading(source, self._format, self._n_read)
                    self._n_read += 1
                    await pool.put(reading, source.size_bytes)
                else:
                    self._account.stored(0, n_structures)
                    self._done(source)
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

    def _take(self, answer: Answer[Reading], waiting: Waiting[Found]) -> None:
        source = answer.item.source
        name = known_as(source)
        for result in answer.results:
            if isinstance(result, Refusal):
                self._account.fail(source.name, *result)
            elif reason := self._terms.refuse(result):
                self._account.fail(source.name, reason, place=result.place)
            else:
                found = Found(result, name, answer.item.number)
                waiting.add(found, len(result.fields), result.material)
        read = sum(getattr(result, "length", 0) for result in answer.results)
        self._begun[source.name] += read
        self._account.passed(read)
        if answer.failure is not None:
            self._account.fail(source.name, answer.failure.message, answer.failure.line)
        if answer.is_end:
            self._done(source)

    def _done(self, source: Source) -> None:
        self._account.passed(source.size_bytes - self._begun.pop(source.name, 0))
        source.discard()

    async def _store(self, found: list[Found]) -> None:
        await store_or_refuse(found, self._store_all, self._refuse)

    async def _store_all(self, found: list[Found]) -> None:
        stored = await retried(self._sessions, lambda session: store_(session, found, self._terms))
        self._stored(found, stored)
        new = sum(one.is_new for one in stored)
        self._account.stored(new, len(stored) - new)

    def _refuse(self, one: Found, said: str) -> None:
        self._account.fail(one.name or "", said, place=one.row.place)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A source that was found, its hash if it is to be looked up, or what is wrong with it."""

    source: Source | Unfound
    sha256: str | None = None
    error: NanoError | None = None


def _looked_at(sources: Iterable[Source | Unfound], *, hashed: bool) -> Iterator[_Candidate]:
    for source in sources:
        if isinstance(source, Unfound):
            yield _Candidate(source, error=source.error)
            continue
        try:
            yield _Candidate(source, source.sha256 if hashed else None)
        except NanoError as error:
            source.discard()
            yield _Candidate(source, error=error)


def _held(one: _Candidate) -> int:
    return len(getattr(one.source, "data", None) or b"")
