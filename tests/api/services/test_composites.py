"""Workflows of steps: each a job that waits for what it needs, takes it, and is done once."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from samples import claimed, metal, performed, stored
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from api.models import User
from api.services import queue, results, simulations
from api.worker.perform import Task
from nanoos.errors import EngineError, InvalidParameters, UnsupportedByEngine
from nanoos.workflows.properties import Properties

CHEAP = {
    "relax": {"fmax": 0.01},
    "elastic": {"points_per_side": 1},
    "phonons": {"supercell_length": 4, "mesh_length": 10, "temperatures": [300]},
    "equation_of_state": {"points_per_side": 2},
}


async def submitted(session: AsyncSession, owner: User, *ids: UUID, **how: Any) -> Any:
    how = {"parameters": CHEAP} | how
    return await simulations.submit(session, "properties", ids, owner=owner, **how)


async def work(session: AsyncSession) -> int:
    """Do all that can be done, as a worker would; return how many jobs that were."""
    n = 0
    while claims := await claimed(session, 10):
        for claim in claims:
            await results.store_(session, claim, performed(Task.of(claim)))
        n += len(claims)
    return n


async def jobs(session: AsyncSession) -> list[Any]:
    """Return workflow, status, error, structure and what was put out, in order of submission."""
    rows = await session.execute(
        text("""
        SELECT job.id, name AS workflow, status, error, structure_id, output_structure_id
        FROM simulation_jobs AS job JOIN workflow_templates AS t ON t.id = workflow_template_id
        LEFT JOIN simulation_results ON simulation_job_id = job.id ORDER BY job.id""")
    )
    return list(rows)


async def test_steps_take_the_relaxed_structure_and_nothing_is_done_twice(
    session: AsyncSession, owner: User
) -> None:
    ids = await stored(session, owner, metal("Cu", a=3.5), metal("Al"))
    report = await submitted(session, owner, *ids)
    assert len(report.submitted) == 8
    assert sorted(job.status for job in await jobs(session)) == ["queued"] * 2 + ["waiting"] * 6
    assert await work(session) == 8
    done = await jobs(session)
    relaxed = {job.output_structure_id for job in done if job.workflow == "relax"}
    assert len(relaxed) == 2
    assert not relaxed & set(ids)
    for name in ("elastic", "phonons", "equation_of_state"):
        assert {job.structure_id for job in done if job.workflow == name} == relaxed

    again = await submitted(session, owner, *ids)
    assert set(again.existing) == set(report.submitted)
    assert not again.submitted
    alone = await simulations.submit(
        session, "elastic", sorted(relaxed), owner=owner, parameters=CHEAP["elastic"]
    )
    assert set(alone.existing) <= set(report.submitted)
    assert not alone.submitted

    fresh = await submitted(session, owner, ids[1], fresh=True)
    assert len(fresh.submitted) == 4
    assert await work(session) == 4


async def test_what_waits_is_not_what_is_asked_of_the_given_structure(
    session: AsyncSession, owner: User
) -> None:
    """Nor is it lost when the same is asked again before its turn."""
    (copper,) = await stored(session, owner, metal("Cu"))
    first = await submitted(session, owner, copper)
    again = await submitted(session, owner, copper)
    assert again.existing == first.submitted
    alone = await simulations.submit(
        session, "elastic", [copper], owner=owner, parameters=CHEAP["elastic"]
    )
    assert len(alone.submitted) == 1
    other = await submitted(
        session, owner, copper, parameters=CHEAP | {"elastic": {"points_per_side": 2}}
    )
    assert (len(other.submitted), len(other.existing)) == (1, 3)


async def test_a_waiting_job_gives_way_to_one_that_calculates_the_same(
    session: AsyncSession, owner: User
) -> None:
    (given,) = await stored(session, owner, metal("Cu"))
    relax = await simulations.submit(
        session, "relax", [given], owner=owner, parameters={"fmax": 1e-6, "smax": 1e-4}
    )
    await work(session)
    ((_, _, _, _, _, relaxed),) = await jobs(session)
    report = await submitted(session, owner, relaxed)
    elastic = await simulations.submit(
        session, "elastic", [relaxed], owner=owner, parameters=CHEAP["elastic"]
    )
    assert await work(session) == 4  # relax, elastic once, phonons, equation of state
    gone = [job for job in await jobs(session) if job.status == "cancelled"]
    assert [job.id for job in gone] == [report.submitted[1]]
    assert gone[0].error == f"Job {elastic.submitted[0]} calculates the same."
    assert relax.submitted


async def test_when_a_step_fails_those_that_need_it_say_so(
    session: AsyncSession, owner: User
) -> None:
    copper, silver = await stored(session, owner, metal("Cu"), metal("Ag"))
    await submitted(session, owner, copper, silver)
    (first, second) = await claimed(session, 10)
    await queue.fail(session, first, EngineError("out of luck"))
    await results.store_(session, second, performed(Task.of(second)))
    waiting = [job for job in await jobs(session) if job.structure_id == copper]
    assert [job.status for job in waiting] == ["failed"] + ["cancelled"] * 3
    assert {job.error for job in waiting[1:]} == {f"It needs job {first.job_id}, which failed."}
    assert await work(session) == 3


async def test_nothing_is_built_on_what_has_not_converged(
    session: AsyncSession, owner: User
) -> None:
    (copper,) = await stored(session, owner, metal("Cu", a=3.0))
    few = CHEAP | {"relax": {"max_steps": 1}}
    report = await submitted(session, owner, copper, parameters=few)
    assert await work(session) == 1
    relax, *others = await jobs(session)
    assert relax.status == "succeeded"
    assert {(job.status, job.error) for job in others} == {
        ("cancelled", f"It needs job {relax.id}, which has not converged.")
    }
    again = await submitted(session, owner, copper, parameters=few)
    assert again.existing == report.submitted[:1]
    assert again.skipped == 3
    assert "elastic: relax, which it needs, has not converged" in {r.reason for r in again.reasons}


async def test_what_a_step_cannot_do_is_refused_before_any_is_queued(
    session: AsyncSession, owner: User
) -> None:
    iron, copper = await stored(session, owner, metal("Fe"), metal("Cu"))
    with pytest.raises(UnsupportedByEngine, match=str(iron)):
        await submitted(session, owner, copper, iron)
    with pytest.raises(InvalidParameters, match=r"relax\.fmax"):
        await submitted(session, owner, copper, parameters={"relax": {"fmax": -1}})
    assert await jobs(session) == []


def test_parameters_of_steps_have_defaults_of_their_own(tmp_path: Path) -> None:
    relax, *others = Properties().steps(Properties.parameters())
    assert relax.parameters["fmax"] == 0.001
    assert {step.structure_of for step in others} == {"relax"}
