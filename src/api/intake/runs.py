"""One import of runs: folders are found, their runs read in other processes, stored in batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from api.artifacts import Artifacts
from api.db import Sessions, retried
from api.intake.batches import Account, Progress, Waiting, in_batches, store_or_refuse
from api.intake.finder import Finder
from api.schemas.run import RunImportReport
from api.schemas.structure import FailedFile
from api.services import run_import
from api.services.run_rows import READ, RunReading, RunRow
from api.services.structure_import import Terms
from api.services.structure_rows import Refusal
from nanoos.errors import NanoError
from nanoos.parsers import Source, Unfound
from nanoos.processes import Answer, Limits, Pool, at_once
from nanoos.runs import RunFolder
from nanoos.runs.find import FoundRun, digest, runs_in

LIMITS = Limits(silence_s=120.0)
"""Of one run: an output of gigabytes is hashed before its first step is read."""
ROW_BYTES = 4096
"""About what a run has beside its structures."""


class RunIntake:
    """Brings runs in on given terms; ``report`` says at any time what came of it so far.

    ``artifacts`` is the folder, or URL, at which their steps are stored.
    """

    def __init__(
        self,
        sessions: Sessions,
        terms: Terms,
        workers: int,
        artifacts: str,
        report: RunImportReport | None = None,
        *,
        project: str | None = None,
        failed: Callable[[FailedFile], None] = lambda _: None,
        progress: Callable[[Progress], None] = lambda _: None,
        limits: Limits = LIMITS,
    ) -> None:
        self.report = report or RunImportReport()
        self._sessions = sessions
        self._terms = terms
        self._workers = workers
        self._artifacts = artifacts
        self._project = project
        self._limits = limits
        self._account = Account(self.report, failed, progress)
        self._temporary: Counter[Source] = Counter()  # how many runs still need each

    async def run(self, found: Iterable[RunFolder | Unfound]) -> RunImportReport:
        """Bring all runs in. Raises DatabaseFull, ProcessesError, and what the database does."""
        async with self._sessions() as session:
            hashed = await run_import.there_are_any(session, self._terms.owner_id)
        finder = Finder(_looked_at(found, hashed=hashed), _held)
        async with Pool[RunReading](READ, self._workers, self._limits) as pool:
            try:
                await at_once(self._feed(pool, finder), *in_batches(pool, self._take, self._store))
            finally:
                finder.close()
        return self.report

    async def _feed(self, pool: Pool[RunReading], finder: Finder[_Found]) -> None:
        """Give the pool what is not known yet."""
        while found := await finder.next():
            known = await self._recognise(found)
            for one in found:
                self._looked(one)
                for run in one.runs:
                    n_runs = known.get(run.digest or "")
                    if n_runs is None:  # or what it left beside its numbers is lost
                        reading = RunReading(run.run, self._artifacts)
                        await pool.put(reading, run.size_bytes)
                    else:
                        self._account.stored(0, n_runs)
                        self._done(run.run, run.size_bytes)
        await pool.finish()

    def _looked(self, one: _Found) -> None:
        """Note what is wrong, and which temporary files are needed how often."""
        if one.error is not None:
            self._account.fail(one.name, one.error)
        self.report.folders += one.is_folder
        self.report.without_run += one.is_folder and not one.runs and one.error is None
        self._account.passed(one.unread_bytes)
        for run in one.runs:
            self._temporary.update(s for s in run.run.folder.files.values() if s.temporary)

    async def _recognise(self, found: list[_Found]) -> dict[str, int]:
        digests = [run.digest for one in found for run in one.runs if run.digest is not None]
        if not digests:
            return {}

        async def recognise(session: AsyncSession) -> dict[str, run_import.Known]:
            known = await run_import.recognise(session, digests, self._terms.owner_id)
            if self._project is not None:
                await run_import.assign(session, list(known), self._terms.owner_id, self._project)
            return known

        known = await retried(self._sessions, recognise)
        stored = Artifacts(self._artifacts)
        return {
            digest: one.n_runs for digest, one in known.items() if stored.are_there(one.artifacts)
        }

    def _take(self, answer: Answer[RunReading], waiting: Waiting[RunRow]) -> None:
        found = answer.item.run
        for result in answer.results:
            if isinstance(result, Refusal):
                self._account.fail(found.folder.name, result.message, result.line, result.place)
            elif isinstance(result, RunRow):
                self._take_row(found, result, waiting)
        if answer.failure is not None:
            self._account.fail(found.folder.name, answer.failure.message, answer.failure.line)
        if answer.is_end:
            self._done(found, _size(found.folder))

    def _take_row(self, found: FoundRun, row: RunRow, waiting: Waiting[RunRow]) -> None:
        if reason := self._terms.refuse(row.initial):
            self._account.fail(found.folder.name, reason, place=row.place)
            return
        size = len(row.initial.fields) + (len(row.final.fields) if row.final else 0)
        waiting.add(row, size + ROW_BYTES)

    def _done(self, found: FoundRun, size_bytes: int) -> None:
        self._account.passed(size_bytes)
        for source in found.folder.files.values():
            if source.temporary:
                self._temporary[source] -= 1
                if not self._temporary[source]:
                    del self._temporary[source]
                    source.discard()

    async def _store(self, rows: list[RunRow]) -> None:
        await store_or_refuse(rows, self._store_all, self._refuse)

    async def _store_all(self, rows: list[RunRow]) -> None:
        new = await retried(
            self._sessions,
            lambda session: run_import.store_(session, rows, self._terms, self._project),
        )
        self._account.stored(new, len(rows) - new)

    def _refuse(self, row: RunRow, said: str) -> None:
        self._account.fail(row.job["source_name"], said, place=row.place)


@dataclass(frozen=True, slots=True)
class _Run:
    """A run, the hash of its files if it is to be looked up, and their size."""

    run: FoundRun
    digest: str | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _Found:
    """A folder that was found with its runs, or what is wrong with it."""

    name: str
    runs: tuple[_Run, ...] = ()
    error: str | None = None
    is_folder: bool = True
    unread_bytes: int = 0


def _looked_at(found: Iterable[RunFolder | Unfound], *, hashed: bool) -> Iterator[_Found]:
    for one in found:
        if isinstance(one, Unfound):
            yield _Found(one.name, error=str(one.error), is_folder=False)
            continue
        runs: list[_Run] = []
        error = None
        try:
            for run in runs_in(one):
                sha256 = digest(run.folder) if hashed else None
                runs.append(_Run(run, sha256, _size(run.folder)))
        except NanoError as failure:
            error = str(failure)
        if one.lost:
            error, runs = error or _incomplete(one, runs), []
        used = {id(source) for run in runs for source in run.run.folder.files.values()}
        unused = [source for source in one.files.values() if id(source) not in used]
        unread_bytes = sum(source.size_bytes for source in unused)
        for source in unused:
            source.discard()
        yield _Found(one.name, tuple(runs), error, unread_bytes=unread_bytes)


def _incomplete(folder: RunFolder, runs: list[_Run]) -> str | None:
    """Return what is to be said of a folder that an archive may not have given whole."""
    if runs:
        what = "The run is" if len(runs) == 1 else f"{len(runs)} runs are"
        return (
            f"{what} not read, for files may be missing. {folder.lost[0].error} To take what there"
            " is, unpack the archive and import the folder."
        )
    damaged = [one for one in folder.lost if one.loss == "member"]
    return f"{damaged[0].name}: {damaged[0].error}" if damaged else None


def _held(found: _Found) -> int:
    sources = (source for run in found.runs for source in run.run.folder.files.values())
    return sum(len(source.data or b"") for source in sources)


def _size(folder: RunFolder) -> int:
    return sum(source.size_bytes for source in folder.files.values())
