"""Results: stored once, by the worker whose job it is, with all that explains them."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from uuid import uuid4

import pytest
from samples import claimed, metal, performed, stored, submitted
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from api.errors import LostLease, NotFound
from api.models import SimulationResult, Structure, User
from api.services import queue, results, simulations, structures
from api.services.queue import Claim
from api.services.results import Run
from api.worker.perform import Task
from nanoos.methods import document
from nanoos.methods import sha256 as method_hash


@pytest.fixture
async def claim(session: AsyncSession, owner: User) -> Claim:
    await submitted(session, owner, *await stored(session, owner, metal("Cu", a=3.7)))
    (mine,) = await claimed(session)
    return mine


@pytest.fixture(scope="module")
def run() -> Run:
    """A real calculation of copper."""
    parameters = {"points_per_side": 2, "volume_range": 0.06}
    return performed(
        Task(uuid4(), "equation_of_state", 1, "emt", parameters, {}, metal("Cu", a=3.7))
    )


async def count(session: AsyncSession, model: type[SimulationResult] | type[Structure]) -> int:
    return await session.scalar(select(func.count()).select_from(model)) or 0


async def test_a_result_has_its_numbers_in_columns(
    session: AsyncSession, claim: Claim, run: Run
) -> None:
    row = await session.get_one(SimulationResult, await results.store_(session, claim, run))
    for name, value in run.outcome.quantities.items():
        assert getattr(row, name) == value
    assert row.data == run.outcome.data
    assert row.is_converged
    assert row.wall_time_s == run.wall_time_s > 0
    assert (await simulations.show(session, claim.job_id)).status == "succeeded"
    assert (await simulations.show(session, claim.job_id)).result_id == row.id


async def test_a_result_says_where_it_comes_from(
    session: AsyncSession, claim: Claim, run: Run
) -> None:
    await results.store_(session, claim, run)
    shown = await results.show(session, claim.job_id)
    said = shown.provenance
    assert (said["engine"], said["engine_version"]) == ("emt", version("ase"))
    assert (said["workflow"], said["workflow_version"]) == ("equation_of_state", "1")
    assert said["packages"]["numpy"] == version("numpy")
    assert said["parameters"]["points_per_side"] == 2
    assert said["host"]
    assert said["python"]
    assert said["code_revision"]
    assert len(said["input_sha256"]) == 64
    assert shown.method == document(run.method)
    assert shown.method_sha256 == method_hash(run.method)


async def test_the_same_input_has_the_same_hash(
    session: AsyncSession, claim: Claim, run: Run
) -> None:
    await results.store_(session, claim, run)
    hashed = (await results.show(session, claim.job_id)).provenance["input_sha256"]
    assert results._input_sha256(replace(claim, attempt=9)) == hashed
    for change in ({"engine": "other"}, {"parameters": {}}, {"fingerprint": "0" * 64}):
        assert results._input_sha256(replace(claim, **change)) != hashed


async def test_the_relaxed_structure_is_linked(
    session: AsyncSession, claim: Claim, run: Run
) -> None:
    await results.store_(session, claim, run)
    shown = await results.show(session, claim.job_id)
    assert shown.output_structure_id
    relaxed = await structures.show(session, shown.output_structure_id)
    assert (relaxed.origin, relaxed.parent_id) == ("relaxed", claim.structure_id)
    assert relaxed.volume_a3 == pytest.approx(shown.quantities["volume_a3"])
    assert relaxed.visibility == claim.visibility == "private"
    assert relaxed.material_id == (await structures.show(session, claim.structure_id)).material_id


async def test_a_public_structure_relaxes_to_a_public_one(
    session: AsyncSession, owner: User, run: Run
) -> None:
    ids = await stored(session, owner, metal("Cu", a=3.7), visibility="public")
    await submitted(session, owner, *ids)
    (mine,) = await claimed(session)
    await results.store_(session, mine, run)
    output = (await results.show(session, mine.job_id)).output_structure_id
    assert output
    assert (await structures.show(session, output)).visibility == "public"


async def test_a_late_worker_stores_nothing(session: AsyncSession, claim: Claim, run: Run) -> None:
    await queue.recover(session, 5)
    (current,) = await queue.claim(session, worker="here", worker_number=2, limit=1, lease_s=60)
    assert current.attempt == claim.attempt + 1
    with pytest.raises(LostLease):
        await results.store_(session, claim, run)
    assert await count(session, SimulationResult) == 0
    assert await count(session, Structure) == 1

    await results.store_(session, current, run)
    for late in (claim, current):
        with pytest.raises(LostLease):
            await results.store_(session, late, run)
    assert await count(session, SimulationResult) == 1
    assert await count(session, Structure) == 2


async def test_two_jobs_with_one_answer_share_the_structure(
    session: AsyncSession, owner: User, claim: Claim, run: Run
) -> None:
    await submitted(session, owner, claim.structure_id, parameters={"points_per_side": 4})
    (other,) = await queue.claim(session, worker="here", worker_number=1, limit=1, lease_s=60)
    outputs = set()
    for mine in (claim, other):
        await results.store_(session, mine, run)
        outputs.add((await results.show(session, mine.job_id)).output_structure_id)
    assert len(outputs) == 1


async def test_what_has_no_result_is_not_found(session: AsyncSession, claim: Claim) -> None:
    with pytest.raises(NotFound, match=str(claim.job_id)):
        await results.show(session, claim.job_id)


async def test_results_of_a_workflow(session: AsyncSession, claim: Claim, run: Run) -> None:
    id_ = await results.store_(session, claim, run)
    (row,) = await results.of_workflow(session, "equation_of_state")
    assert (row.id, row.job_id, row.structure_name) == (id_, claim.job_id, "sample 0")
    assert await results.of_workflow(session, "alchemy") == []
