"""What imported runs took, how they ended, and which of them repeat or contradict each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, case, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from api.errors import NotFound
from api.models import Method, SimulationJob, SimulationResult, Structure, User
from api.schemas.run import Cost, Ending, RunGroup, RunLine, RunReport
from api.services import methods, run_import
from nanoos.methods import of_document

SAME_VOLUME = 1e-4
"""Cells whose volumes differ by less of it are one: in a relaxation, it was kept."""
LISTED = 100
"""Runs or groups of a list."""
CONFLICT_EV_PER_ATOM = 0.005
"""Energies of one input, by comparable methods, that differ by more contradict each other."""

CORE_HOURS: ColumnElement[Any] = (
    SimulationResult.wall_time_s * func.coalesce(SimulationResult.n_cores, 1) / 3600
)
ENDING: ColumnElement[Any] = case(
    (SimulationJob.error_type == "TimeLimit", "stopped at its time limit"),
    (
        SimulationJob.status == "failed",
        func.lower(func.coalesce(SimulationJob.error_type, "failed")),
    ),
    (SimulationResult.is_converged, "converged"),
    else_="not converged",
)
IS_SUPERSEDED: ColumnElement[bool] = (
    func.coalesce(SimulationJob.error_type, "") == run_import.SUPERSEDED
)
TASK: ColumnElement[Any] = SimulationJob.parameters["task"].astext


IS_CELL_KEPT: ColumnElement[Any] = func.coalesce(
    func.abs(SimulationResult.volume_a3 / Structure.volume_a3 - 1) < SAME_VOLUME, True
)


async def report(session: AsyncSession, project: str | None = None) -> RunReport:
    """Return the report of the imported runs in view, of one project or of all.

    Raises NotFound for a project that no run is of.
    """
    if project is not None:
        await _check_project(session, project)
    endings = await _endings(session, project)
    by_project = await _costs(session, project, func.coalesce(SimulationJob.project, "–"))
    duplicates = await _duplicates(session, project)
    conflicts = await _conflicts(session, project)
    return RunReport(
        written_at=datetime.now(UTC),
        project=project,
        runs=sum(one.runs for one in endings),
        converged=sum(one.runs for one in endings if one.ending == "converged"),
        core_hours=sum(one.core_hours for one in by_project),
        endings=endings,
        by_project=by_project,
        by_user=await _costs(session, project, User.username),
        by_method=await _by_method(session, project),
        dearest=await _lines(session, _runs(project), CORE_HOURS.desc().nulls_last(), 10),
        unconverged=await _lines(
            session,
            _runs(project).where(ENDING != "converged"),
            SimulationJob.source_name,
            LISTED,
        ),
        n_duplicates=len(duplicates),
        duplicates=duplicates[:LISTED],
        n_conflicts=len(conflicts),
        conflicts=conflicts[:LISTED],
    )


async def _check_project(session: AsyncSession, project: str) -> None:
    rows = await session.scalars(_of_imported(select(SimulationJob.project).distinct(), None))
    known = sorted(filter(None, rows))
    if project not in known:
        there_are = f"There are: {', '.join(known)}." if known else "No run is of any project."
        raise NotFound(f"No imported run is of a project {project!r}. {there_are}")


def _of_imported(statement: Select[Any], project: str | None) -> Select[Any]:
    """Return the statement over the imported runs in view, with their results if they have any."""
    joined = (
        statement.select_from(SimulationJob)
        .outerjoin(SimulationResult, SimulationResult.simulation_job_id == SimulationJob.id)
        .join(User, User.id == SimulationJob.owner_id)
        .where(SimulationJob.origin == "imported", ~IS_SUPERSEDED)
    )
    return joined if project is None else joined.where(SimulationJob.project == project)


async def _endings(session: AsyncSession, project: str | None) -> list[Ending]:
    ending = ENDING.label("ending")
    number = func.count().label("runs")
    rows = await session.execute(
        _of_imported(select(ending, number), project).group_by(ending).order_by(number.desc())
    )
    return [Ending(ending=row.ending, runs=row.runs) for row in rows]


async def _costs(session: AsyncSession, project: str | None, by: Any) -> list[Cost]:
    name, hours = by.label("name"), func.coalesce(func.sum(CORE_HOURS), 0.0).label("core_hours")
    unknown = func.count().filter(CORE_HOURS.is_(None)).label("unknown")
    columns = select(name, func.count().label("runs"), hours, unknown)
    rows = await session.execute(
        _of_imported(columns, project).group_by(name).order_by(hours.desc(), name)
    )
    return [Cost.model_validate(row._mapping) for row in rows]


async def _by_method(session: AsyncSession, project: str | None) -> list[Cost]:
    costs = await _costs(session, project, func.coalesce(SimulationResult.method_sha256, "–"))
    names = await _names(session, [one.name for one in costs])
    return [one.model_copy(update={"name": names.get(one.name, one.name)}) for one in costs]


async def _names(session: AsyncSession, hashes: Iterable[str]) -> dict[str, str]:
    """Return what people call methods: a few words, and the beginning of the hash."""
    rows = await session.scalars(
        select(Method).where(methods.is_one_of(Method.sha256, set(hashes)))
    )
    return {
        row.sha256: f"{methods.name(of_document(row.document))} ({row.sha256[: methods.SHORT]})"
        for row in rows
    }


def _runs(project: str | None) -> Select[Any]:
    columns = select(
        SimulationJob.id.label("job_id"),
        SimulationJob.source_name,
        SimulationJob.structure_id,
        SimulationJob.error,
        ENDING.label("status"),
        SimulationResult.convergence,
        SimulationResult.energy_ev_per_atom,
        SimulationResult.method_sha256,
        CORE_HOURS.label("core_hours"),
        TASK.label("task"),
        IS_CELL_KEPT.label("is_cell_kept"),
        Structure.reduced_formula,
    )
    return _with_structure(_of_imported(columns, project))


def _with_structure(statement: Select[Any]) -> Select[Any]:
    return statement.outerjoin(Structure, Structure.id == SimulationJob.structure_id)


async def _lines(
    session: AsyncSession, statement: Select[Any], order: Any, limit: int
) -> list[RunLine]:
    rows = (await session.execute(statement.order_by(order, SimulationJob.id).limit(limit))).all()
    names = await _names(session, [row.method_sha256 for row in rows if row.method_sha256])
    return [_line(row, names) for row in rows]


def _line(row: Row[Any], names: dict[str, str]) -> RunLine:
    said = row.convergence or {}
    problems = ", ".join(problem.replace("_", " ") for problem in said.get("problems", ()))
    cause = row.error or said.get("message") or problems
    return RunLine.model_validate(
        dict(row._mapping) | {"cause": cause or None, "method": names.get(row.method_sha256 or "")}
    )


async def _duplicates(session: AsyncSession, project: str | None) -> list[RunGroup]:
    """Return runs that did the same task on the same structure with the same method."""
    same = {
        "structure_id": SimulationJob.structure_id,
        "task": TASK,
        "method_sha256": SimulationResult.method_sha256,
    }
    groups = await _groups(session, project, same, func.count() > 1)
    return await _named(session, [(group, None) for group in groups])


async def _conflicts(session: AsyncSession, project: str | None) -> list[RunGroup]:
    """Return runs of one input and comparable methods whose energies differ, the worst first.

    Of tasks whose end is settled by the input: single points, and relaxations with the cell kept
    or not.
    """
    energy = SimulationResult.energy_ev_per_atom
    spread = func.max(energy) - func.min(energy)
    same = {
        "structure_id": SimulationJob.structure_id,
        "task": TASK,
        "is_cell_kept": IS_CELL_KEPT,
    }
    settled = SimulationResult.is_converged & TASK.in_(("single_point", "relax"))
    found: list[tuple[list[Row[Any]], float]] = []
    for group in await _groups(session, project, same, spread > CONFLICT_EV_PER_ATOM, settled):
        together = await methods.comparable(session, [row.method_sha256 for row in group], mix=True)
        for hashes in together.groups:
            rows = [row for row in group if row.method_sha256 in hashes]
            energies = [
                row.energy_ev_per_atom for row in rows if row.energy_ev_per_atom is not None
            ]
            apart = max(energies, default=0.0) - min(energies, default=0.0)
            if apart > CONFLICT_EV_PER_ATOM:
                found.append((rows, apart))
    found.sort(key=lambda one: -one[1])
    return await _named(session, found)


async def _groups(
    session: AsyncSession,
    project: str | None,
    same: Mapping[str, Any],
    having: ColumnElement[bool],
    only: Any = None,
) -> list[list[Row[Any]]]:
    """Return the runs with a result that have ``same`` in common, where the group is ``having``."""
    counted = and_(SimulationResult.energy_ev.is_not(None), *([] if only is None else [only]))
    keys = [column.label(name) for name, column in same.items()]
    wanted = (
        _with_structure(_of_imported(select(*keys), project))
        .where(counted)
        .group_by(*same.values())
        .having(having)
        .subquery()
    )
    matches = [column.is_not_distinct_from(wanted.c[name]) for name, column in same.items()]
    rows = await session.execute(
        _runs(project)
        .join(wanted, and_(*matches))
        .where(counted)
        .order_by(SimulationJob.structure_id, SimulationJob.source_name, SimulationJob.id)
    )
    found: dict[tuple[Any, ...], list[Row[Any]]] = defaultdict(list)
    for row in rows:
        found[tuple(getattr(row, name) for name in same)].append(row)
    return list(found.values())


async def _named(
    session: AsyncSession, groups: Sequence[tuple[list[Row[Any]], float | None]]
) -> list[RunGroup]:
    names = await _names(session, {row.method_sha256 for group, _ in groups for row in group})
    return [
        RunGroup(
            structure_id=group[0].structure_id,
            reduced_formula=group[0].reduced_formula,
            methods=sorted({names[row.method_sha256] for row in group}),
            runs=[_line(row, names) for row in group],
            spread_ev_per_atom=spread,
        )
        for group, spread in groups
    ]
