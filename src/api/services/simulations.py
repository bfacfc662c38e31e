"""Simulations: submitting jobs, and looking at them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import DateTime, Integer, Select, SmallInteger, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import contains_eager
from uuid_utils.compat import uuid7

from api.errors import NotFound
from api.models import Material, SimulationJob, SimulationResult, Structure, User, WorkflowTemplate
from api.schemas.simulation import JobDetail, JobSummary, SkipReason, SubmitReport
from api.services import dependencies, questions, repetitions, structures
from api.services.questions import Question
from nanoos.engines import ProgramEngine
from nanoos.errors import UnsupportedByEngine

QUEUE_CHANNEL = "nano_os_jobs"
"""Workers LISTEN here; a submission notifies when its transaction commits."""


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms jobs are queued; None: no limit, or as the worker is set."""

    priority: int = 0
    not_before: datetime | None = None
    wall_time_limit_s: int | None = None
    memory_limit_mb: int | None = None
    max_attempts: int | None = None
    resources: dict[str, int] = field(default_factory=dict)
    """Nodes and ranks that a parallel program runs on."""


NO_TERMS = Terms()
NOTHING_NEEDED: Mapping[UUID, UUID] = MappingProxyType({})


async def submit(
    session: AsyncSession,
    workflow: str,
    structure_ids: Sequence[UUID] | None,
    *,
    owner: User,
    engine: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    engine_parameters: Mapping[str, Any] | None = None,
    terms: Terms = NO_TERMS,
    fresh: bool = False,
) -> SubmitReport:
    """Queue one job per structure and step; what is there already is returned as existing.

    Steps that take the structure of another wait for it.

    What is finished is not done again, unless the engine's method is another by now, or with
    ``fresh``.

    With ``structure_ids`` None all uploaded structures are taken and those the
    engine cannot do are skipped; named ones are submitted all or not at all.

    Raises NotFound for an unknown workflow or structure, PluginNotFound for an
    unknown engine, InvalidParameters, and UnsupportedByEngine, which also says of nodes and
    ranks that the engine starts no program on them.
    """
    asked = await questions.read(
        session,
        workflow,
        owner=owner,
        engine=engine,
        parameters=parameters or {},
        engine_parameters=engine_parameters or {},
    )
    if terms.resources and not all(isinstance(one.engine, ProgramEngine) for one in asked):
        raise UnsupportedByEngine(
            f"{asked[0].engine.name} starts no parallel program: submit it without nodes and ranks."
        )
    wanted, skipped = await _choose(session, structure_ids, asked)
    submitted, existing, jobs = list[UUID](), list[UUID](), dict[str, dict[UUID, UUID]]()
    for question in asked:
        if question.structure_of is None:
            queued = await _queue(session, question, wanted, terms, fresh=fresh)
        else:
            needed = jobs[question.structure_of]
            queued = await _queue_after(session, question, needed, terms, skipped, fresh=fresh)
        jobs[question.workflow.name] = queued.jobs
        for id_ in dict.fromkeys(queued.jobs.values()):
            (submitted if id_ in queued.made else existing).append(id_)
    await session.execute(select(func.pg_notify(QUEUE_CHANNEL, "")))
    return SubmitReport(
        submitted=submitted,
        existing=existing,
        skipped=skipped.counts.total(),
        reasons=[
            SkipReason(reason=reason, structures=n, example=skipped.examples[reason])
            for reason, n in skipped.counts.most_common(SubmitReport.LISTED)
        ],
    )


@dataclass
class _Skipped:
    """For how many structures there is no job, and why."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, UUID] = field(default_factory=dict)

    def add(self, reason: str, structure_id: UUID) -> None:
        self.counts[reason] += 1
        self.examples.setdefault(reason, structure_id)


@dataclass
class _Queued:
    """The job of each structure, by the id of the structure as given, and which are new."""

    jobs: dict[UUID, UUID] = field(default_factory=dict)
    made: set[UUID] = field(default_factory=set)


async def _choose(
    session: AsyncSession, structure_ids: Sequence[UUID] | None, asked: Sequence[Question]
) -> tuple[list[UUID], _Skipped]:
    """Return the structures of which everything can be asked; named ones must all be such."""
    wanted: list[UUID] = []
    refused: list[str] = []
    skipped = _Skipped()
    reasons: dict[_Kind, str | None] = {}
    async for id_, kind in _chosen(session, structure_ids):
        if kind not in reasons:
            (row,) = await structures.get(session, [id_])
            atoms = structures.to_atoms(row)
            refusals = (question.refuses(atoms) for question in asked)
            reasons[kind] = next(filter(None, refusals), None)
        reason = reasons[kind]
        if reason is None:
            wanted.append(id_)
            continue
        skipped.add(reason, id_)
        if structure_ids is not None:
            refused.append(f"{id_}: {reason}")
    if refused:
        raise UnsupportedByEngine("\n".join(["Nothing was submitted:", *refused]))
    return wanted, skipped


async def _queue(
    session: AsyncSession,
    question: Question,
    structure_ids: Sequence[UUID],
    terms: Terms,
    *,
    fresh: bool,
) -> _Queued:
    turns = await repetitions.wanted(
        session, question.job, structure_ids, question.engine, fresh=fresh
    )
    return await _insert_jobs(session, {**question.job, **asdict(terms)}, turns)


async def _queue_after(
    session: AsyncSession,
    question: Question,
    needed: Mapping[UUID, UUID],
    terms: Terms,
    skipped: _Skipped,
    *,
    fresh: bool,
) -> _Queued:
    """Queue jobs for the structures that the ``needed`` ones find: at once where they are done.

    Until they are, the jobs wait, with the structure as given in its place.
    """
    found = await dependencies.structures_of(session, list(needed.values()))
    for id_, job in needed.items():
        if isinstance(reason := found[job], str):
            skipped.add(f"{question.workflow.name}: {reason}", id_)
    there = {id_: made for id_, job in needed.items() if isinstance(made := found[job], UUID)}
    queued = await _queue(
        session, question, list(dict.fromkeys(there.values())), terms, fresh=fresh
    )
    pending = {id_: job for id_, job in needed.items() if found[job] is None}
    waiting = await _insert_jobs(
        session, {**question.job, **asdict(terms)}, dict.fromkeys(pending, int(fresh)), pending
    )
    await dependencies.need(
        session, {job: pending[id_] for id_, job in waiting.jobs.items() if job in waiting.made}
    )
    return _Queued(
        {id_: queued.jobs[made] for id_, made in there.items()} | waiting.jobs,
        queued.made | waiting.made,
    )


class _Kind(NamedTuple):
    """What engines and workflows refuse structures by."""

    elements: tuple[str, ...]
    dimension_types: tuple[int, ...]
    is_ordered: bool
    has_cell: bool


async def _chosen(
    session: AsyncSession, ids: Sequence[UUID] | None
) -> AsyncIterator[tuple[UUID, _Kind]]:
    """Yield the structures and their kinds, without reading them whole.

    Raises NotFound where one of ``ids`` is not there.
    """
    query = select(
        Structure.id,
        Material.elements,
        Structure.dimension_types,
        Structure.is_ordered,
        Structure.lattice_a.is_not(None),
    ).join(Structure.material)
    if ids is None:
        uploaded = query.where(Structure.origin == "upload").order_by(Structure.id)
        async for row in await session.stream(uploaded):
            yield _of_kind(*row)
        return
    rows = {row[0]: row for row in await session.execute(query.where(Structure.id.in_(ids)))}
    if missing := [str(id_) for id_ in ids if id_ not in rows]:
        raise NotFound(f"No structure {', '.join(missing)}.")
    for id_ in dict.fromkeys(ids):
        yield _of_kind(*rows[id_])


def _of_kind(
    id_: UUID, elements: list[str], dimensions: list[int], is_ordered: bool, has_cell: bool
) -> tuple[UUID, _Kind]:
    return id_, _Kind(tuple(elements), tuple(dimensions), is_ordered, has_cell)


async def _insert_jobs(
    session: AsyncSession,
    job: dict[str, Any],
    turns: Mapping[UUID, int],
    needed: Mapping[UUID, UUID] = NOTHING_NEEDED,
) -> _Queued:
    """Return the jobs made and those there were, in the structures' order.

    ``turns`` says of each structure which repetition it is, ``needed`` for which job it waits.
    """
    if not turns:
        return _Queued()
    identity = cache(repetitions.identity_of(job))
    hashes = {id_: identity(turn, needed.get(id_)) for id_, turn in turns.items()}
    made: set[UUID] = set()
    jobs: dict[UUID, UUID] = {}
    # A job that stood in the way, and ended before it was read, is asked for anew.
    while wanted := [id_ for id_ in turns if id_ not in jobs]:
        values = job | {
            "ids": [uuid7() for _ in wanted],
            "structure_ids": wanted,
            "repetitions": [turns[id_] for id_ in wanted],
            "hashes": [hashes[id_] for id_ in wanted],
            "waits": bool(needed),
        }
        made.update(await session.scalars(_INSERT_JOBS, values))
        rows = await session.execute(_SELECT_JOBS, values)
        jobs |= {row.structure_id: row.id for row in rows}
    return _Queued({id_: jobs[id_] for id_ in turns}, made)


_INSERT_JOBS = text("""
INSERT INTO simulation_jobs (id, structure_id, owner_id, workflow_template_id, engine,
                             parameters, engine_parameters, repetition, parameters_sha256,
                             priority, due_at, not_before, status, max_attempts,
                             wall_time_limit_s, memory_limit_mb, resources)
SELECT id, structure_id, :owner_id, :workflow_template_id, :engine,
       :parameters, :engine_parameters, repetition, hash, :priority,
       greatest(CAST(:not_before AS timestamptz), now()) - :priority * interval '10 minutes',
       :not_before, CASE WHEN :waits OR CAST(:not_before AS timestamptz) > now() THEN 'waiting'
                         ELSE 'queued' END,
       :max_attempts, :wall_time_limit_s, :memory_limit_mb, :resources
FROM unnest(CAST(:ids AS uuid[]), CAST(:structure_ids AS uuid[]),
            CAST(:repetitions AS smallint[]), CAST(:hashes AS text[]))
     AS wanted (id, structure_id, repetition, hash)
ORDER BY structure_id -- whoever else submits these locks them in the same order
ON CONFLICT (owner_id, structure_id, workflow_template_id, engine, parameters_sha256)
      WHERE origin = 'submitted' AND status NOT IN ('failed', 'cancelled')
DO NOTHING
RETURNING id
""").bindparams(
    bindparam("parameters", type_=JSONB),
    bindparam("engine_parameters", type_=JSONB),
    bindparam("priority", type_=SmallInteger),
    bindparam("not_before", type_=DateTime(timezone=True)),
    bindparam("max_attempts", type_=SmallInteger),
    bindparam("wall_time_limit_s", type_=Integer),
    bindparam("memory_limit_mb", type_=Integer),
    bindparam("resources", type_=JSONB),
)

_SELECT_JOBS = text("""
SELECT job.structure_id, job.id
FROM unnest(CAST(:structure_ids AS uuid[]), CAST(:hashes AS text[])) AS wanted (structure_id, hash)
JOIN simulation_jobs AS job
  ON job.structure_id = wanted.structure_id AND job.parameters_sha256 = hash
WHERE owner_id = :owner_id AND workflow_template_id = :workflow_template_id AND engine = :engine
  AND origin = 'submitted' AND status NOT IN ('failed', 'cancelled')
""")


def _query() -> Select[SimulationJob, bool | None]:
    return (
        select(SimulationJob, SimulationResult.is_converged)
        .outerjoin(SimulationJob.structure)
        .outerjoin(Structure.material)
        .outerjoin(SimulationJob.workflow_template)
        .outerjoin(SimulationResult, SimulationResult.simulation_job_id == SimulationJob.id)
        .options(
            contains_eager(SimulationJob.structure).contains_eager(Structure.material),
            contains_eager(SimulationJob.workflow_template),
        )
    )


def _summary(row: SimulationJob, is_converged: bool | None) -> dict[str, Any]:
    structure, template = row.structure, row.workflow_template
    return row.values() | {
        "workflow": template and template.name,
        "structure_name": structure and structure.name,
        "reduced_formula": structure and structure.material.reduced_formula,
        "is_converged": is_converged,
    }


async def list_(
    session: AsyncSession,
    status: str | None = None,
    limit: int | None = None,
    *,
    ids: Sequence[UUID] | None = None,
    workflow: str | None = None,
    engine: str | None = None,
    structure_id: UUID | None = None,
) -> list[JobSummary]:
    """Return the jobs in view that all of these hold of, the newest first, at most ``limit``."""
    query = _query().order_by(SimulationJob.submitted_at.desc(), SimulationJob.id.desc())
    for column, value in (
        (SimulationJob.status, status),
        (WorkflowTemplate.name, workflow),
        (SimulationJob.engine, engine),
        (SimulationJob.structure_id, structure_id),
    ):
        if value is not None:
            query = query.where(column == value)
    if ids is not None:
        query = query.where(SimulationJob.id.in_(ids))
    rows = await session.execute(query.limit(limit))
    return [JobSummary.model_validate(_summary(*row)) for row in rows]


async def count_by_status(session: AsyncSession) -> dict[str, int]:
    """Return how many jobs in view are in each status."""
    rows = await session.execute(
        select(SimulationJob.status, func.count()).group_by(SimulationJob.status)
    )
    return dict(rows.all())


async def show(session: AsyncSession, id_: UUID) -> JobDetail:
    """Return one job in full, or raise NotFound."""
    row = (await session.execute(_query().where(SimulationJob.id == id_))).one_or_none()
    if row is None:
        raise NotFound(f"No job {id_}.")
    result_id = await session.scalar(
        select(SimulationResult.id).where(SimulationResult.simulation_job_id == id_)
    )
    return JobDetail.model_validate(_summary(*row) | {"result_id": result_id})
