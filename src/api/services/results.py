"""Results: storing what a job yielded, once, and showing it with its provenance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import contains_eager
from uuid_utils.compat import uuid7

from api.errors import NotFound
from api.models import (
    Material,
    SimulationAttempt,
    SimulationJob,
    SimulationResult,
    Structure,
    WorkflowTemplate,
)
from api.models.simulation_result import QUANTITIES
from api.schemas.simulation import AttemptDetail, ResultDetail
from api.services import dependencies, methods, queue, structure_import, structure_rows
from api.services.queue import Claim
from api.services.structure_import import Candidate, Found, Terms
from nanoos.canonical import canonical_json, sha256
from nanoos.errors import WorkflowError
from nanoos.methods import Method, document
from nanoos.structures import analyse
from nanoos.workflows import Outcome


@dataclass(frozen=True, slots=True)
class Run:
    """One finished calculation: its outcome, and how it came about.

    Raises WorkflowError where it holds what the database cannot: a number that is
    not finite, an array, a zero character; MethodError for such a method.
    """

    outcome: Outcome
    method: Method
    provenance: dict[str, Any]
    wall_time_s: float

    def __post_init__(self) -> None:
        found = self.outcome
        if not isinstance(self.method, Method):
            raise WorkflowError("The engine's method() must return a nanoos.methods.Method.")
        document(self.method)
        try:
            text = canonical_json(
                [found.quantities, found.data, found.convergence, self.provenance]
            )
        except (TypeError, ValueError) as error:
            raise WorkflowError(f"The outcome cannot be stored: {error}.") from error
        if r"\u0000" in text:
            raise WorkflowError("The outcome cannot be stored: a text holds a zero character.")


@dataclass(frozen=True, slots=True)
class Finished:
    """A claimed job and what came of it.

    ``artifacts`` are what is said of the files of its outcome, which are stored already.
    """

    claim: Claim
    run: Run
    artifacts: Sequence[dict[str, Any]] = ()


async def store_(session: AsyncSession, claim: Claim, run: Run) -> UUID:
    """Store the result of a claimed job and end the job; LostLease where it is not ours."""
    (id_,) = await store_all(session, [Finished(claim, run)])
    if id_ is None:
        raise queue.lost(claim)
    return id_


async def store_all(session: AsyncSession, finished: Sequence[Finished]) -> list[UUID | None]:
    """Store the results of claimed jobs and end the jobs.

    Returns the id of each result, None where the job is no longer ours.
    """
    ours = await queue.succeed(session, [one.claim for one in finished])
    stored = {one.claim.job_id: one for one in finished if one.claim.job_id in ours}
    if stored:
        ids = await _insert(session, list(stored.values()))
        await dependencies.release(session, list(stored))
        return [ids.get(one.claim.job_id) for one in finished]
    return [None for _ in finished]


async def _insert(session: AsyncSession, finished: Sequence[Finished]) -> dict[UUID, UUID]:
    """Insert the results; return the id of each by that of its job."""
    hashes = await methods.store_(session, [one.run.method for one in finished])
    outputs = await _store_outputs(session, finished)
    rows = [
        _row(one, method_sha256, outputs.get(one.claim.job_id))
        for one, method_sha256 in zip(finished, hashes, strict=True)
    ]
    await session.execute(insert(SimulationResult), rows)
    return {row["simulation_job_id"]: row["id"] for row in rows}


def _row(finished: Finished, method_sha256: str, output_id: UUID | None) -> dict[str, Any]:
    claim, run = finished.claim, finished.run
    quantities = run.outcome.quantities
    further = {name: value for name, value in quantities.items() if name not in QUANTITIES}
    return {
        "id": uuid7(),
        "simulation_job_id": claim.job_id,
        **{name: quantities.get(name) for name in QUANTITIES},
        "data": run.outcome.data | further,
        "is_converged": bool(run.outcome.convergence.get("converged")),
        "convergence": run.outcome.convergence,
        "method_sha256": method_sha256,
        "output_structure_id": output_id,
        "provenance": run.provenance | {"input_sha256": _input_sha256(claim)},
        "artifacts": list(finished.artifacts),
        "wall_time_s": run.wall_time_s,
        "n_cores": claim.resources.get("ranks"),
    }


async def _store_outputs(session: AsyncSession, finished: Sequence[Finished]) -> dict[UUID, UUID]:
    """Store the structures that jobs put out; return the id of each by that of its job."""
    theirs: dict[tuple[UUID, str], dict[UUID, Found]] = defaultdict(dict)
    for one in finished:
        if (candidate := _output(one)) is not None:
            scope = one.claim.owner_id, one.claim.visibility
            theirs[scope][one.claim.job_id] = Found(structure_rows.row(candidate))
    ids: dict[UUID, UUID] = {}
    for scope, found in sorted(theirs.items()):
        imported = await structure_import.store_(session, list(found.values()), Terms(*scope))
        ids |= {job_id: one.id for job_id, one in zip(found, imported, strict=True)}
    return ids


def _output(finished: Finished) -> Candidate | None:
    claim, structure = finished.claim, finished.run.outcome.output_structure
    if structure is None:
        return None
    return Candidate(
        structure=structure,
        analysis=analyse(structure),
        name=claim.structure_name,
        origin="relaxed",
        parent_id=claim.structure_id,
        extra={"workflow": claim.workflow, "engine": claim.engine},
    )


def _input_sha256(claim: Claim) -> str:
    return sha256(
        {
            "structure": claim.fingerprint,
            "workflow": claim.workflow,
            "workflow_version": claim.workflow_version,
            "engine": claim.engine,
            "parameters": claim.parameters,
        }
        | ({"engine_parameters": claim.engine_parameters} if claim.engine_parameters else {})
    )


_OF_JOB = (
    *("engine", "origin", "project", "status", "error_type", "error", "parameters"),
    *("engine_parameters", "started_at", "finished_at", "source_name", "source_sha256"),
    *("source_place", "source_is_last", "continues_id", "structure_id"),
)


def _query() -> Select[SimulationResult]:
    return (
        select(SimulationResult)
        .join(SimulationResult.simulation_job)
        .outerjoin(SimulationJob.structure)
        .outerjoin(Structure.material)
        .outerjoin(SimulationJob.workflow_template)
        .join(SimulationResult.method)
        .options(
            contains_eager(SimulationResult.method),
            contains_eager(SimulationResult.simulation_job).options(
                contains_eager(SimulationJob.structure).contains_eager(Structure.material),
                contains_eager(SimulationJob.workflow_template),
            ),
        )
    )


def _detail(row: SimulationResult) -> ResultDetail:
    job = row.simulation_job
    return ResultDetail.model_validate(
        row.values()
        | {
            "job_id": job.id,
            "method": row.method.document,
            "workflow": job.workflow_template and job.workflow_template.name,
            **{name: getattr(job, name) for name in _OF_JOB},
            "structure_name": job.structure and job.structure.name,
            "reduced_formula": job.structure and job.structure.material.reduced_formula,
            "quantities": {name: getattr(row, name) for name in QUANTITIES},
        }
    )


async def show(session: AsyncSession, id_: UUID) -> ResultDetail:
    """Return a result by its own id or its job's, or raise NotFound."""
    row = await session.scalar(
        _query().where((SimulationResult.id == id_) | (SimulationResult.simulation_job_id == id_))
    )
    if row is None:
        raise NotFound(f"No result {id_}, and no job of that id has one.")
    attempts = await session.scalars(
        select(SimulationAttempt)
        .where(SimulationAttempt.simulation_job_id == row.simulation_job_id)
        .order_by(SimulationAttempt.attempt)
    )
    tried = [AttemptDetail.model_validate(one) for one in attempts]
    return _detail(row).model_copy(update={"attempts": tried})


async def several(session: AsyncSession, ids: Sequence[UUID]) -> list[ResultDetail]:
    """Return those of these results that are in view, in their order."""
    found = {
        row.id: row for row in await session.scalars(_query().where(SimulationResult.id.in_(ids)))
    }
    return [_detail(found[id_]) for id_ in ids if id_ in found]


async def of_workflow(session: AsyncSession, workflow: str) -> list[ResultDetail]:
    """Return the results of a workflow in view, by formula."""
    rows = await session.scalars(
        _query()
        .where(WorkflowTemplate.name == workflow)
        .order_by(Material.reduced_formula, Structure.name, SimulationResult.id)
    )
    return [_detail(row) for row in rows]
