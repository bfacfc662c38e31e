"""Import of runs: structures, then jobs that were never queued, then results, linked.

A run is there already where its owner has one of the same files: a unique index decides it, so
any number of imports may run at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from api.models import SimulationJob, SimulationResult
from api.models.simulation_result import QUANTITIES
from api.services import methods, run_links, structure_import
from api.services.run_rows import RunRow
from api.services.structure_import import Found, Terms
from api.services.structure_rows import with_parent

SUPERSEDED = "Superseded"
"""Error type of an unfinished run that went on, and came in anew as it stood then."""


async def there_are_any(session: AsyncSession, owner_id: UUID) -> bool:
    """Return whether the owner has imported any run."""
    return bool(await session.scalar(text(_ANY), {"owner_id": owner_id}))


class Known(NamedTuple):
    """How many runs files hold that are there already, and the artifacts of their results."""

    n_runs: int
    artifacts: list[str]


async def recognise(
    session: AsyncSession, digests: Sequence[str], owner_id: UUID
) -> dict[str, Known]:
    """Return what is known of each digest whose files' runs the owner has all."""
    said = {"owner_id": owner_id, "digests": list(digests)}
    found = await session.execute(text(_COMPLETE), said)
    return {row.source_sha256: Known(row.n_runs, row.artifacts) for row in found}


async def assign(
    session: AsyncSession, digests: Sequence[str], owner_id: UUID, project: str
) -> None:
    """Say of runs that are there already what they were for."""
    await session.execute(
        update(SimulationJob)
        .where(
            SimulationJob.origin == "imported",
            SimulationJob.owner_id == owner_id,
            SimulationJob.source_sha256.in_(digests),
            SimulationJob.project.is_distinct_from(project),
        )
        .values(project=project),
        execution_options={"synchronize_session": False},
    )


async def store_(
    session: AsyncSession, rows: Sequence[RunRow], terms: Terms, project: str | None = None
) -> int:
    """Store runs that are not there yet; return how many of them were not.

    Raises Conflict where a structure was deleted meanwhile; trying again helps.
    """
    rows = await _unknown(session, rows, terms.owner_id)
    if not rows:
        return 0
    initial = await structure_import.store_(session, [Found(row.initial) for row in rows], terms)
    ids = [one.id for one in initial]
    final = await _store_final(session, rows, ids, terms)
    jobs = [
        {"engine_parameters": {}}
        | row.job
        | {
            "owner_id": terms.owner_id,
            "structure_id": id_,
            "project": project if project is not None else row.job.get("project"),
            "origin": "imported",
            "source_is_last": row.job.get("source_is_last", row.is_last),
            "finished_at": row.job["finished_at"] or datetime.now(UTC),
        }
        for row, id_ in zip(rows, ids, strict=True)
    ]
    new = await _insert_jobs(session, jobs)
    await _insert_results(session, [row for row in rows if row.job["id"] in new], final)
    said = {"new": list(new), "owner_id": terms.owner_id}
    await session.execute(text(_LOCK), said)
    went_on = list(await session.scalars(text(_REOPEN), said))
    if went_on:
        await session.execute(text(_SUPERSEDE), {"went_on": went_on})
    await run_links.link(session, new, terms.owner_id)
    return len(new)


async def _unknown(
    session: AsyncSession, rows: Sequence[RunRow], owner_id: UUID
) -> Sequence[RunRow]:
    """Return the rows without results that an export wrote and their owner still has."""
    ids = [row.first_id for row in rows if row.first_id is not None]
    if not ids:
        return rows
    said = {"owner_id": owner_id, "ids": ids}
    known = set(await session.scalars(text(_KNOWN_RESULTS), said))
    return [row for row in rows if row.first_id not in known]


async def _store_final(
    session: AsyncSession, rows: Sequence[RunRow], initial: list[UUID], terms: Terms
) -> dict[UUID, UUID]:
    """Store the last geometries; return the structure of each, by the job's id."""
    found, jobs = [], []
    for row, parent_id in zip(rows, initial, strict=True):
        if row.final is not None:
            found.append(Found(with_parent(row.final, parent_id)))
            jobs.append(row.job["id"])
    stored = await structure_import.store_(session, found, terms)
    return {job: one.id for job, one in zip(jobs, stored, strict=True)}


async def _insert_jobs(session: AsyncSession, jobs: list[dict[str, Any]]) -> set[UUID]:
    """Insert what is not there; return the ids of those. All are inserted in one order."""
    ordered = sorted(jobs, key=lambda job: (job["source_sha256"], job["source_place"]))
    statement = (
        insert(SimulationJob)
        .on_conflict_do_nothing(
            index_elements=["owner_id", "source_sha256", "source_place"],
            index_where=text("origin = 'imported'"),
        )
        .returning(SimulationJob.id)
    )
    return set(await session.scalars(statement, ordered))


async def _insert_results(
    session: AsyncSession, rows: Sequence[RunRow], final: dict[UUID, UUID]
) -> None:
    with_result = [row for row in rows if row.result is not None]
    await methods.store_(session, [row.method for row in with_result])
    values = [
        _columns(row.result)
        | {"simulation_job_id": job_id, "output_structure_id": final.get(job_id)}
        for row in with_result
        if row.result is not None and (job_id := row.job["id"])
    ]
    if values:
        await session.execute(insert(SimulationResult), values)


def _columns(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result by its columns; a quantity that there is no column for goes to its data."""
    known = dict.fromkeys(QUANTITIES) | {
        name: value for name, value in result.items() if name in _RESULT_COLUMNS
    }
    further = {name: value for name, value in result.items() if name not in _RESULT_COLUMNS}
    return known | {"data": result["data"] | further}


# What was read before there were methods is no reader's to say, by no name of a quantity.
_RESULT_COLUMNS = frozenset(SimulationResult.__mapper__.columns.keys()) - {"read_before_methods"}

_ANY = """
SELECT true FROM simulation_jobs
WHERE origin = 'imported' AND owner_id = CAST(:owner_id AS uuid) LIMIT 1
"""

_COMPLETE = """
SELECT source_sha256, count(DISTINCT job.id) AS n_runs,
       array_remove(array_agg(DISTINCT artifact ->> 'sha256'), NULL) AS artifacts
FROM simulation_jobs AS job
LEFT JOIN simulation_results AS result ON result.simulation_job_id = job.id
LEFT JOIN LATERAL jsonb_array_elements(result.artifacts) AS artifact ON true
WHERE origin = 'imported' AND owner_id = CAST(:owner_id AS uuid)
AND source_sha256 = ANY(CAST(:digests AS text[]))
GROUP BY source_sha256
HAVING count(DISTINCT job.id) = max(source_place) FILTER (WHERE source_is_last)
"""

_KNOWN_RESULTS = """
SELECT result.id FROM simulation_results AS result
JOIN simulation_jobs AS job ON job.id = result.simulation_job_id
WHERE result.id = ANY(CAST(:ids AS uuid[])) AND job.owner_id = CAST(:owner_id AS uuid)
"""

_LOCK = """
SELECT pg_advisory_xact_lock(
    hashtext('links of runs'), hashtext(CAST(CAST(:owner_id AS uuid) AS text))
)
"""

# The outputs of a run that went on are other files. What was read of them before counts no more.
# Only a job that could still run can be cancelled, so it is opened again for a moment, in which
# nobody sees it.
_REOPEN = f"""
UPDATE simulation_jobs AS old SET status = 'queued', finished_at = NULL,
    error_type = '{SUPERSEDED}',
    error = 'The run went on, and was imported again as ' || job.id || '.'
FROM simulation_jobs AS job
WHERE job.id = ANY(CAST(:new AS uuid[])) AND old.id <> job.id
AND old.origin = 'imported' AND old.owner_id = job.owner_id AND old.error_type = 'Unfinished'
AND old.source_name = job.source_name AND old.source_place = job.source_place
AND old.started_at = job.started_at AND old.source_sha256 <> job.source_sha256
RETURNING old.id
"""  # noqa: S608 - only our own word is put in

_SUPERSEDE = """
UPDATE simulation_jobs SET status = 'cancelled', finished_at = now()
WHERE id = ANY(CAST(:went_on AS uuid[]))
"""
