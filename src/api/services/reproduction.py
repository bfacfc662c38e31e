"""Results calculated again: by what, and whether the numbers are the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from api.errors import NotFound, WrongUsage
from api.models import SimulationJob, User
from api.schemas.reproduction import Change, Compared, Reproduction
from api.schemas.simulation import ResultDetail
from api.services import repetitions, simulations, structures
from nanoos.engines import make
from nanoos.structures import Structure

RELATIVE = 1e-6
"""Numbers that differ by less of themselves agree."""
ABSOLUTE = {"eV": 1e-5, "eV/Å": 1e-4, "GPa": 1e-2, "Å": 1e-4, "Å³": 1e-3, "THz": 1e-2, "μB": 1e-3}
"""Numbers of these units that differ by less agree, too."""
_UNITS = {
    "_ev_per_a": "eV/Å",
    "_ev_per_atom": "eV",
    "_ev": "eV",
    "_gpa": "GPa",
    "_a3_per_atom": "Å³",
    "_a3": "Å³",
    "_thz": "THz",
    "_mu_b": "μB",
}
_VERSIONS = ("workflow_version", "engine_version", "python", "platform", "host", "code_revision")


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that a submitted job was given: who has it can do it again."""

    job_id: UUID
    workflow: str
    workflow_version: int
    engine: str
    parameters: dict[str, Any]
    engine_parameters: dict[str, Any]
    structure: Structure
    wall_time_s: int | None


class Side(NamedTuple):
    """What one calculation yielded, and how it came about."""

    quantities: Mapping[str, float | None]
    data: Mapping[str, Any]
    is_converged: bool
    method_sha256: str
    provenance: Mapping[str, Any]

    @classmethod
    def of(cls, detail: ResultDetail, data: Mapping[str, Any]) -> Side:
        """Return that of a stored result, with the arrays of its ``data``."""
        return cls(
            detail.quantities, data, detail.is_converged, detail.method_sha256, detail.provenance
        )


async def recipe(session: AsyncSession, detail: ResultDetail) -> Recipe:
    """Return what the job of a result was given.

    Raises WrongUsage for an imported run: its program and files are elsewhere.
    """
    job, structure_id = await _submitted(session, detail)
    (row,) = await structures.get(session, [structure_id])
    return Recipe(
        job_id=job.id,
        workflow=str(detail.workflow),
        workflow_version=int(detail.provenance["workflow_version"]),
        engine=str(job.engine),
        parameters=job.parameters,
        engine_parameters=job.engine_parameters,
        structure=structures.to_atoms(row),
        wall_time_s=job.wall_time_limit_s,
    )


async def _submitted(session: AsyncSession, detail: ResultDetail) -> tuple[SimulationJob, UUID]:
    """Return the job of a result and its structure's id; WrongUsage if it was imported."""
    job: SimulationJob | None = await session.get(SimulationJob, detail.job_id)
    if job is None:
        raise NotFound(f"No job {detail.job_id}.")
    if detail.origin == "imported" or job.structure_id is None or detail.workflow is None:
        raise WrongUsage(
            "This result was imported: it was not calculated here and cannot be done again by "
            "itself. Submit a workflow for its structure, and compare: nano-os results compare."
        )
    return job, job.structure_id


async def repeat(session: AsyncSession, detail: ResultDetail, owner: User) -> UUID:
    """Queue the job of a result once more, as a repetition of its own; return the new job."""
    job, structure_id = await _submitted(session, detail)
    asked = {
        "owner_id": owner.id,
        "workflow_template_id": job.workflow_template_id,
        "engine": job.engine,
        "parameters": job.parameters,
        "engine_parameters": job.engine_parameters,
    }
    engine = make(str(job.engine), job.engine_parameters)
    turns = await repetitions.wanted(session, asked, [structure_id], engine, fresh=True)
    turn = turns[structure_id]
    again = SimulationJob(
        **asked,
        structure_id=structure_id,
        repetition=turn,
        parameters_sha256=repetitions.identity(job.parameters, job.engine_parameters, turn),
        resources=job.resources,
        wall_time_limit_s=job.wall_time_limit_s,
        memory_limit_mb=job.memory_limit_mb,
    )
    session.add(again)
    await session.flush()
    await session.execute(select(func.pg_notify(simulations.QUEUE_CHANNEL, "")))
    return again.id


def compare(before: Side, now: Side, relative: float = RELATIVE) -> Reproduction:
    """Compare two calculations, number by number; arrays by their largest difference."""
    numbers = [*_quantities(before, now, relative), *_arrays(before, now, relative)]
    changed = list(_changes(before, now))
    return Reproduction(
        agrees=all(one.agrees for one in numbers) and before.is_converged == now.is_converged,
        numbers=numbers,
        changed=changed,
    )


def _quantities(before: Side, now: Side, relative: float) -> Iterator[Compared]:
    one, other = _numbers(before), _numbers(now)
    for name in one | other:
        first, second = one.get(name), other.get(name)
        tolerance = _tolerance(_unit(name), abs(first or 0.0), relative)
        apart = None if first is None or second is None else abs(second - first)
        yield Compared(
            name=name,
            before=first,
            now=second,
            difference=apart,
            tolerance=tolerance,
            agrees=apart is not None and apart <= tolerance,
        )


def _numbers(side_: Side) -> dict[str, float]:
    """Return all numbers: quantities, and those that stand in the data without a column."""
    known = {name: value for name, value in side_.quantities.items() if value is not None}
    plain = {name: value for name, value in side_.data.items() if _is_number(value)}
    return known | plain


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _unit(name: str) -> str:
    return next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), "1")


def _tolerance(unit: str, size: float, relative: float) -> float:
    return max(ABSOLUTE.get(unit, 0.0), relative * size)


def _arrays(before: Side, now: Side, relative: float) -> Iterator[Compared]:
    for name, entry in before.data.items():
        one, other = _array(entry), _array(now.data.get(name))
        if one is None:
            continue
        unit = str(entry.get("unit", "1"))
        tolerance = _tolerance(unit, float(np.abs(one).max(initial=0.0)), relative)
        alike = other is not None and one.shape == other.shape
        apart = float(np.abs(other - one).max(initial=0.0)) if alike else None
        yield Compared(
            name=name,
            difference=apart,
            tolerance=tolerance,
            agrees=apart is not None and apart <= tolerance,
        )


def _array(entry: Any) -> Any:
    """Return an entry's values as an array of numbers, None where they are none."""
    if not isinstance(entry, Mapping) or "values" not in entry:
        return None
    try:
        array = np.asarray(entry["values"], dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return array if array.size else None


def _changes(before: Side, now: Side) -> Iterator[Change]:
    """Yield what is another than it was: versions, host, and the method as a whole."""
    pairs = [(name, before.provenance.get(name), now.provenance.get(name)) for name in _VERSIONS]
    one, other = (dict(side_.provenance.get("packages") or {}) for side_ in (before, now))
    pairs += [(name, one.get(name), other.get(name)) for name in sorted(one | other)]
    pairs.append(("method", before.method_sha256, now.method_sha256))
    pairs.append(("converged", before.is_converged, now.is_converged))
    for what, first, second in pairs:
        if first != second:
            yield Change(what=what, before=_text(first), now=_text(second))


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
