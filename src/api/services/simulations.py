"""Simulations: submitting jobs, and looking at them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, SmallInteger, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import contains_eager
from uuid_utils.compat import uuid7

from api.errors import NotFound
from api.models import SimulationJob, SimulationResult, Structure, User
from api.schemas.simulation import JobDetail, JobSummary, SkipReason, SubmitReport
from api.services import structures, workflows
from nanoos import plugins
from nanoos.canonical import sha256
from nanoos.engines import Engine, capable, make
from nanoos.errors import UnsupportedByEngine
from nanoos.parameters import read_parameters
from nanoos.structures import Structure as Atoms
from nanoos.workflows import Workflow, refusal

QUEUE_CHANNEL = "nano_os_jobs"
"""Workers LISTEN here; a submission notifies when its transaction commits."""


async def submit(
    session: AsyncSession,
    workflow: str,
    structure_ids: Sequence[UUID] | None,
    *,
    owner: User,
    engine: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    engine_parameters: Mapping[str, Any] | None = None,
    priority: int = 0,
) -> SubmitReport:
    """Queue one job per structure; what is there already is returned as existing.

    With ``structure_ids`` None all uploaded structures are taken and those the
    engine cannot do are skipped; named ones are submitted all or not at all.

    Raises NotFound for an unknown workflow or structure, PluginNotFound for an
    unknown engine, InvalidParameters, and UnsupportedByEngine.
    """
    template = await workflows.newest(session, workflow)
    plugin = plugins.get("nanoos.workflows", workflow)()
    given = read_parameters(
        plugin.name, plugin.parameters, dict(template.defaults) | dict(parameters or {})
    )
    calculator = make(engine or template.engine, engine_parameters)
    chosen = read_parameters(calculator.name, calculator.parameters, engine_parameters or {})
    wanted: list[UUID] = []
    refused: list[str] = []
    skipped: Counter[str] = Counter()
    examples: dict[str, UUID] = {}
    async for row in _chosen(session, structure_ids):
        reason = _refusal(plugin, structures.to_atoms(row), calculator)
        if reason is None:
            wanted.append(row.id)
        else:
            skipped[reason] += 1
            examples.setdefault(reason, row.id)
            if structure_ids is not None:
                refused.append(f"{row.id}: {reason}")
    if refused:
        raise UnsupportedByEngine("\n".join(["Nothing was submitted:", *refused]))
    job = {
        "owner_id": owner.id,
        "workflow_template_id": template.id,
        "engine": calculator.name,
        "parameters": given.model_dump(mode="json"),
        "engine_parameters": chosen.model_dump(mode="json"),
        "parameters_sha256": identity(
            given.model_dump(mode="json"), chosen.model_dump(mode="json")
        ),
        "priority": priority,
    }
    submitted, existing = await _insert_jobs(session, job, wanted)
    return SubmitReport(
        submitted=submitted,
        existing=existing,
        skipped=skipped.total(),
        reasons=[
            SkipReason(reason=reason, structures=n, example=examples[reason])
            for reason, n in skipped.most_common(SubmitReport.LISTED)
        ],
    )


def identity(
    parameters: Mapping[str, Any], engine_parameters: Mapping[str, Any], repetition: int = 0
) -> str:
    """Return the hash of what is asked of a structure beside workflow and engine.

    Parameters alone have the hash of their canonical JSON, as they had before engines took any.
    """
    if not (engine_parameters or repetition):
        return sha256(parameters)
    return sha256({"parameters": parameters, "engine": engine_parameters, "repetition": repetition})


def _refusal(workflow: Workflow[Any], atoms: Atoms, engine: Engine) -> str | None:
    """Return why the workflow cannot be run, and which installed engines could instead."""
    reason = refusal(workflow, atoms, engine)
    if reason is None or workflow.refuses(atoms):
        return reason
    could = ", ".join(capable(atoms, workflow.needs)) or "no engine that runs here"
    return f"{reason}; {could} can"


async def _chosen(session: AsyncSession, ids: Sequence[UUID] | None) -> AsyncIterator[Structure]:
    if ids is None:
        async for row in structures.stream(session):
            if row.origin == "upload":
                yield row
    else:
        for row in await structures.get(session, list(dict.fromkeys(ids))):
            yield row


async def _insert_jobs(
    session: AsyncSession, job: dict[str, Any], structure_ids: Sequence[UUID]
) -> tuple[list[UUID], list[UUID]]:
    """Return the jobs made and those there were, each in the structures' order."""
    made: set[UUID] = set()
    jobs: dict[UUID, UUID] = {}
    # A job that stood in the way, and ended before it was read, is asked for anew.
    while wanted := [id_ for id_ in structure_ids if id_ not in jobs]:
        values = job | {"ids": [uuid7() for _ in wanted], "structure_ids": wanted}
        made.update(await session.scalars(_INSERT_JOBS, values))
        rows = await session.execute(_SELECT_JOBS, values)
        jobs |= {row.structure_id: row.id for row in rows}
    await session.execute(select(func.pg_notify(QUEUE_CHANNEL, "")))
    ordered = [jobs[id_] for id_ in structure_ids]
    return [id_ for id_ in ordered if id_ in made], [id_ for id_ in ordered if id_ not in made]


_INSERT_JOBS = text("""
INSERT INTO simulation_jobs (id, structure_id, owner_id, workflow_template_id, engine,
                             parameters, engine_parameters, parameters_sha256, priority, due_at)
SELECT id, structure_id, :owner_id, :workflow_template_id, :engine,
       :parameters, :engine_parameters, :parameters_sha256, :priority,
       now() - :priority * interval '10 minutes'
FROM unnest(CAST(:ids AS uuid[]), CAST(:structure_ids AS uuid[])) AS wanted (id, structure_id)
ORDER BY structure_id -- whoever else submits these locks them in the same order
ON CONFLICT (owner_id, structure_id, workflow_template_id, engine, parameters_sha256)
      WHERE origin = 'submitted' AND status NOT IN ('failed', 'cancelled')
DO NOTHING
RETURNING id
""").bindparams(
    bindparam("parameters", type_=JSONB),
    bindparam("engine_parameters", type_=JSONB),
    bindparam("priority", type_=SmallInteger),
)

_SELECT_JOBS = text("""
SELECT structure_id, id FROM simulation_jobs
WHERE structure_id = ANY(CAST(:structure_ids AS uuid[])) AND owner_id = :owner_id
  AND workflow_template_id = :workflow_template_id AND engine = :engine
  AND parameters_sha256 = :parameters_sha256
  AND origin = 'submitted' AND status NOT IN ('failed', 'cancelled')
""")


def _query() -> Select[SimulationJob]:
    return (
        select(SimulationJob)
        .outerjoin(SimulationJob.structure)
        .outerjoin(Structure.material)
        .outerjoin(SimulationJob.workflow_template)
        .options(
            contains_eager(SimulationJob.structure).contains_eager(Structure.material),
            contains_eager(SimulationJob.workflow_template),
        )
    )


def _summary(row: SimulationJob) -> dict[str, Any]:
    structure, template = row.structure, row.workflow_template
    return row.values() | {
        "workflow": template and template.name,
        "structure_name": structure and structure.name,
        "reduced_formula": structure and structure.material.reduced_formula,
    }


async def list_(
    session: AsyncSession, status: str | None = None, limit: int | None = None
) -> list[JobSummary]:
    """Return the jobs in view, the newest first, at most ``limit``."""
    query = _query().order_by(SimulationJob.submitted_at.desc(), SimulationJob.id.desc())
    if status is not None:
        query = query.where(SimulationJob.status == status)
    rows = await session.scalars(query.limit(limit))
    return [JobSummary.model_validate(_summary(row)) for row in rows]


async def count_by_status(session: AsyncSession) -> dict[str, int]:
    """Return how many jobs in view are in each status."""
    rows = await session.execute(
        select(SimulationJob.status, func.count()).group_by(SimulationJob.status)
    )
    return dict(rows.all())


async def show(session: AsyncSession, id_: UUID) -> JobDetail:
    """Return one job in full, or raise NotFound."""
    row = await session.scalar(_query().where(SimulationJob.id == id_))
    if row is None:
        raise NotFound(f"No job {id_}.")
    result_id = await session.scalar(
        select(SimulationResult.id).where(SimulationResult.simulation_job_id == id_)
    )
    return JobDetail.model_validate(_summary(row) | {"result_id": result_id})
