"""Results of several jobs that are stored at once: what is wrong with one harms no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from samples import claimed, metal
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from api.artifacts import Artifacts
from api.errors import LostLease
from api.services import queue
from api.services.results import Run
from api.worker.presence import Presence
from api.worker.storing import Storing
from nanoos.engines.emt import Emt
from nanoos.errors import EngineError, WorkflowError
from nanoos.workflows import Outcome

Sessions = async_sessionmaker[AsyncSession]
Query = Callable[..., list[dict[str, Any]]]
JOBS = 12


def yields(**quantities: float) -> Run:
    return Run(Outcome(quantities, {}, {"converged": True}), Emt().method(), {}, 1.0)


@pytest.fixture
async def storing(sessions: Sessions, tmp_path: Path) -> AsyncIterator[Storing]:
    async def nothing(_: AsyncSession) -> None: ...

    presence = Presence(sessions, 7, woken=lambda: None, returned=nothing, note=lambda _: None)
    async with presence.kept():
        yield Storing(presence, Artifacts(tmp_path))


@pytest.fixture
async def claims(sessions: Sessions, queue_up: Callable[..., Any]) -> list[queue.Claim]:
    await queue_up(*(metal("Cu", a=3.5 + 0.01 * n) for n in range(JOBS)))
    async with sessions.begin() as session:
        return await claimed(session, JOBS)


async def test_a_result_that_cannot_be_stored_and_a_lost_job_harm_no_other(
    storing: Storing, claims: list[queue.Claim], sessions: Sessions, query: Query
) -> None:
    async with sessions.begin() as session:
        await queue.fail(session, claims[5], EngineError("given up"))
    runs = [yields(energy_ev=float(n)) for n in range(JOBS)]
    runs[3] = yields(volume_a3=-1.0)
    ends = await asyncio.gather(
        *(storing.store(claim, run) for claim, run in zip(claims, runs, strict=True)),
        return_exceptions=True,
    )
    assert {n: type(end) for n, end in enumerate(ends) if end is not None} == {
        3: WorkflowError,
        5: LostLease,
    }
    assert "volume_a3" in str(ends[3])
    stored = query(
        "SELECT energy_ev, job.id FROM simulation_results JOIN simulation_jobs AS job"
        " ON job.id = simulation_job_id WHERE status = 'succeeded' ORDER BY energy_ev"
    )
    wanted = [(n, claims[n].job_id) for n in range(JOBS) if n not in {3, 5}]
    assert [(row["energy_ev"], str(row["id"])) for row in stored] == [
        (n, str(id_)) for n, id_ in wanted
    ]


async def test_what_ended_together_is_stored_together(
    storing: Storing, claims: list[queue.Claim], query: Query
) -> None:
    await asyncio.gather(*(storing.store(claim, yields(energy_ev=1.0)) for claim in claims))
    (row,) = query(
        "SELECT count(*) AS results, count(DISTINCT xmin::text) AS transactions"
        " FROM simulation_results"
    )
    assert row["results"] == JOBS
    assert row["transactions"] < JOBS / 2
