"""``nano-os structures reanalyse``: what an older version derived, derived again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from api.cli.database import in_transaction, transaction, with_database
from api.cli.importing import SHOWN
from api.cli.output import Json, err, out, print_json, progress

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from api.db import Sessions
    from api.schemas.structure import ReanalysisReport
    from api.services.structure_rows import Again, Derived
    from nanoos.processes import Pool

BATCH = 500
"""Structures stored in one transaction."""


def reanalyse(
    all_: Annotated[
        bool, typer.Option("--all", help="Every structure, also those of this version.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that analyse; without it, one a core.")
    ] = None,
    json: Json = False,
) -> None:
    """Derive formulas, symmetry, cell and labels again, of structures from older versions.

    It may be interrupted: what is done stays done. The structures are yours.
    Positions and fingerprints are not touched.
    """
    from api.schemas.structure import ReanalysisReport
    from nanoos.processes import cores

    report = ReanalysisReport()

    async def work(sessions: Sessions) -> None:
        await _Reanalysis(sessions, report, every=all_).run(workers or cores())

    try:
        with_database(work)
    except KeyboardInterrupt:
        err.print(
            f"Interrupted: {report.analysed} analysed, and they stay."
            " Give the command again to go on."
        )
        raise
    if json:
        print_json(report.model_dump(mode="json"))
    else:
        out.print(f"[green]{report.analysed} analysed[/], {len(report.failed)} failed")
        for failed in report.failed[:SHOWN]:
            err.print(f"  {failed.id}: {failed.reason}", markup=False)
    if report.failed:
        raise typer.Exit(1)


class _Reanalysis:
    def __init__(self, sessions: Sessions, report: ReanalysisReport, *, every: bool) -> None:
        self._sessions = sessions
        self._report = report
        self._every = every

    async def run(self, workers: int) -> None:
        from api.services import reanalysis
        from api.services.structure_rows import DERIVE_AGAIN
        from nanoos.processes import Pool, at_once

        async with transaction(self._sessions) as (session, owner):
            total = await reanalysis.count(session, owner, every=self._every)
        with progress() as bar:
            task = bar.add_task("Analysing", total=total)
            async with Pool["Again"](DERIVE_AGAIN, workers) as pool:
                await at_once(self._feed(pool), self._collect(pool, bar, task))

    async def _feed(self, pool: Pool[Again]) -> None:
        from api.services import reanalysis

        after = UUID(int=0)
        while True:
            async with transaction(self._sessions) as (session, owner):
                batch = await reanalysis.batch(session, owner, after, BATCH, every=self._every)
            if not batch:
                break
            for stored in batch:
                await pool.put(stored, stored.structure.positions_a.nbytes)
            after = batch[-1].id
        await pool.finish()

    async def _collect(self, pool: Pool[Again], bar: Progress, task: TaskID) -> None:
        from api.schemas.structure import Unanalysed

        batch: list[Derived] = []
        async for answer in pool.answers():
            batch += answer.results
            if answer.failure is not None:
                failed = Unanalysed(id=answer.item.id, reason=answer.failure.message)
                self._report.failed.append(failed)
            if len(batch) >= BATCH:
                await self._store(batch)
                batch = []
            bar.update(task, completed=self._report.analysed + len(self._report.failed))
        await self._store(batch)

    async def _store(self, batch: list[Derived]) -> None:
        from api.db import retried
        from api.services import reanalysis

        if batch:
            await retried(self._sessions, lambda session: reanalysis.store_(session, batch))
            self._report.analysed += len(batch)


def hint() -> None:
    """Say so when structures wait to be analysed again."""
    from api.services import reanalysis

    if n := in_transaction(reanalysis.n_waiting):
        many = f"{n} or more" if n == reanalysis.LIMIT else str(n)
        err.print(
            f"[yellow]{many} structures were analysed by an older version[/] and are not found"
            " by all that can be searched for: nano-os structures reanalyse"
        )
