"""Search of results: those in view that meet a query, sorted, page by page or all in a stream."""

from __future__ import annotations

import operator
from collections.abc import AsyncIterator
from typing import Any, TypeVarTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from api.errors import NotFound, WrongUsage
from api.models import Method, SimulationJob, SimulationResult, Structure, WorkflowTemplate
from api.models.simulation_result import ENERGIES, QUANTITIES
from api.schemas.results import ResultPage, ResultQuery, ResultRow
from api.schemas.search import Sort
from api.services import methods
from api.services.criteria import condition
from api.services.cursor import Cursor
from api.services.result_criteria import FINAL, of_a_result
from nanoos.methods import of_document

Some = TypeVarTuple("Some")

SORTABLE = ("created_at", "wall_time_s", *QUANTITIES)
"""Columns that results can be sorted by."""
NEWEST_FIRST = Sort("created_at", descending=True)


def read_sort(text: str) -> Sort:
    """Return what ``energy_ev_per_atom:desc`` says; raises WrongUsage."""
    column, _, direction = text.strip().partition(":")
    if column not in SORTABLE:
        raise WrongUsage(f"{column!r} is no column to sort by; those are {', '.join(SORTABLE)}.")
    if direction not in {"", "asc", "desc"}:
        raise WrongUsage(f"{direction!r} is neither asc nor desc.")
    return Sort(column, direction == "desc")


async def find(
    session: AsyncSession,
    query: ResultQuery,
    *,
    sort: Sort = NEWEST_FIRST,
    after: str | None = None,
    limit: int = 50,
) -> ResultPage:
    """Return the ``limit`` results that come after the cursor ``after``, or the first ones.

    Those without a value to be sorted by come last. Raises WrongUsage for a cursor of another
    query or order, NotFound for a project or workflow that no result in view is of, and
    MixedMethods for energies of methods that cannot be compared.
    """
    if after is None:
        await check(session, query)
        cursor = Cursor.start(query, sort, await count(session, query), is_exact=True)
    else:
        cursor = Cursor.read(after, query, sort, of=SimulationResult)
    page = (
        selected(select(*_SHOWN), query)
        .where(SimulationResult.id.is_not(None), *_behind(sort, cursor))
        .order_by(*_in_order(sort))
        .limit(limit + 1)
    )
    rows = (await session.execute(page)).all()
    return ResultPage(
        rows=[_row(row) for row in rows[:limit]],
        after=str(cursor.behind(rows[limit - 1])) if len(rows) > limit else None,
        count=cursor.count,
    )


async def count(session: AsyncSession, query: ResultQuery) -> int:
    """Return how many results in view meet the query."""
    found = selected(select(func.count()), query).where(SimulationResult.id.is_not(None))
    return await session.scalar(found) or 0


async def stream(
    session: AsyncSession, query: ResultQuery, *, batch: int = 200
) -> AsyncIterator[list[UUID]]:
    """Yield the ids of all that the query finds, in the order of their making."""
    ids = selected(select(SimulationResult.id), query).where(SimulationResult.id.is_not(None))
    found = await session.stream_scalars(
        ids.order_by(SimulationResult.id), execution_options={"yield_per": batch}
    )
    async for some in found.partitions():
        yield list(some)


async def check(session: AsyncSession, query: ResultQuery) -> None:
    """Raise NotFound for a project that no job in view is of, and MixedMethods; see `find`."""
    if query.project is not None:
        known = select(SimulationJob.id).where(SimulationJob.project == query.project)
        if await session.scalar(known.limit(1)) is None:
            raise NotFound(f"No run is of a project {query.project!r}.")
    asked = query.structures
    if ENERGIES & set(asked.quantities) and not (asked.method or asked.mix):
        each = SimulationResult.method_sha256
        others = {name: of for name, of in asked.quantities.items() if name not in ENERGIES}
        wide = asked.model_copy(update={"quantities": others})
        of_methods = selected(
            select(each, func.count()), query.model_copy(update={"structures": wide})
        )
        has_energy = SimulationResult.energy_ev.is_not(None)
        rows = await session.execute(of_methods.where(has_energy).group_by(each))
        await methods.comparable(session, {row[0]: row[1] for row in rows})


def selected(statement: Select[*Some], query: ResultQuery) -> Select[*Some]:
    """Return the statement over the jobs in view that a query finds, with results if they have any.

    What is said of results or structures is only met by jobs that have them.
    """
    joined = (
        statement.select_from(SimulationJob)
        .outerjoin(SimulationResult, SimulationResult.simulation_job_id == SimulationJob.id)
        .outerjoin(Method, Method.sha256 == SimulationResult.method_sha256)
        .outerjoin(Structure, Structure.id == FINAL)
        .outerjoin(WorkflowTemplate, WorkflowTemplate.id == SimulationJob.workflow_template_id)
    )
    return joined.where(*_conditions(query))


def _conditions(query: ResultQuery) -> list[ColumnElement[bool]]:
    of_structures = query.structures.model_copy(update={"quantities": {}, "method": ()})
    found = [*of_a_result(query.structures), *condition(of_structures)]
    if query.ids:
        found.append(SimulationResult.id.in_(query.ids) | SimulationJob.id.in_(query.ids))
    for column, wanted in (
        (SimulationJob.project, query.project),
        (_WORKFLOW, query.workflow),
        (SimulationJob.engine, query.engine),
        (SimulationJob.origin, query.origin),
        (SimulationResult.is_converged, query.is_converged),
    ):
        if wanted is not None:
            found.append(column == wanted)
    return found


_WORKFLOW: ColumnElement[Any] = func.coalesce(
    WorkflowTemplate.name, SimulationJob.parameters["task"].astext
)
_SHOWN = (
    SimulationResult.id,
    SimulationJob.id.label("job_id"),
    _WORKFLOW.label("workflow"),
    SimulationJob.engine,
    SimulationJob.origin,
    SimulationJob.project,
    SimulationJob.source_name,
    FINAL.label("structure_id"),
    Structure.name.label("structure_name"),
    Structure.reduced_formula,
    Method.document,
    SimulationResult.method_sha256,
    SimulationResult.is_converged,
    SimulationResult.created_at,
    SimulationResult.wall_time_s,
    *(getattr(SimulationResult, name) for name in QUANTITIES),
)


def _row(row: Any) -> ResultRow:
    known = row._mapping
    return ResultRow.model_validate(
        dict(known)
        | {
            "method": methods.name(of_document(row.document)),
            "quantities": {name: known[name] for name in QUANTITIES},
        }
    )


def _in_order(sort: Sort) -> list[Any]:
    column, id_ = getattr(SimulationResult, sort.column), SimulationResult.id
    if sort.descending:
        return [column.desc().nulls_last(), id_.desc()]
    return [column.asc().nulls_last(), id_.asc()]


def _behind(sort: Sort, cursor: Cursor) -> list[ColumnElement[bool]]:
    """Return what holds of the rows behind the cursor."""
    if cursor.id is None:
        return []
    column: Any = getattr(SimulationResult, sort.column)
    beyond = operator.lt if sort.descending else operator.gt
    equal = beyond(SimulationResult.id, cursor.id)
    if cursor.value is None:
        return [column.is_(None) & equal]
    return [or_(beyond(column, cursor.value), (column == cursor.value) & equal, column.is_(None))]
