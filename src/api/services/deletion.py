"""Deletion of structures: of one's own, all or none, and never what others rest on."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from api.errors import Conflict, NotAllowed
from api.models import User
from api.schemas.curation import Deletion, Dependent
from api.schemas.search import Query
from api.services import materials, owned


async def plan(session: AsyncSession, query: Query, owner: User, *, lock: bool = False) -> Deletion:
    """Return what the query finds of the owner's structures, and all that rests on them.

    That is structures relaxed or taken from them, and so on; jobs on any of these, or that
    made one; and the results of those jobs. Embeddings, similarities and the notes of files
    are no dependents: they go with their structure.

    Raises Conflict while a worker is at one of the jobs, NotAllowed where structures or jobs
    of somebody else are among them, and NotFound.
    """
    chosen = await owned.ids_of(session, query, owner, lock=lock)
    derived = await _derived(session, chosen, lock=lock)
    tree = [*chosen, *(row["id"] for row in derived)]
    jobs, running = await _jobs(session, tree, lock=lock)
    results = await _rows(session, _RESULTS, ids=[row["id"] for row in jobs])
    if any(row["owner_id"] != owner.id for row in [*derived, *jobs]):
        raise NotAllowed("Structures or jobs of others rest on them; nothing was deleted.")
    if running:
        raise Conflict(
            f"A worker is at job {owned.listed(running)}: cancel it, or wait for its end. "
            "Nothing was deleted."
        )
    return Deletion(
        structures=chosen,
        public=await session.scalar(text(_N_PUBLIC), {"ids": tree}) or 0,
        dependents=[
            Dependent(kind=kind, id=row["id"], description=row["description"])
            for kind, rows in (("structure", derived), ("job", jobs), ("result", results))
            for row in rows
        ],
    )


async def delete_(session: AsyncSession, query: Query, owner: User, expected: Deletion) -> Deletion:
    """Delete what `plan` found, and materials and citations that nothing is left of.

    Raises what `plan` does, and Conflict where it finds something else than ``expected``.
    """
    now = await plan(session, query, owner, lock=True)
    if now != expected:
        raise Conflict("Something changed meanwhile; nothing was deleted. Try again.")
    ids = [*now.structures, *now.of_kind("structure")]
    left = (await session.execute(text(_LEFT), {"ids": ids})).one()
    await session.execute(text(_DELETE_RESULTS), {"ids": now.of_kind("result")})
    await session.execute(text(_DELETE_JOBS), {"ids": now.of_kind("job")})
    await session.execute(text(_DELETE_STRUCTURES), {"ids": ids})
    n_materials = await materials.drop_emptied(session, left.materials or [])
    n_citations = await materials.drop_uncited(session, left.citations or [])
    return now.model_copy(update={"materials": n_materials, "citations": n_citations})


async def _derived(session: AsyncSession, chosen: list[UUID], *, lock: bool) -> list[Any]:
    """Return what was made from the chosen; with ``lock`` nothing more is made from it."""
    if not lock:
        return await _rows(session, _DERIVED, ids=chosen)
    found = await _rows(session, _DERIVED + _LOCK_STRUCTURES, ids=chosen)
    while len(more := await _rows(session, _DERIVED + _LOCK_STRUCTURES, ids=chosen)) != len(found):
        found = more  # something was made from one of them before it was locked
    return found


async def _jobs(
    session: AsyncSession, tree: list[UUID], *, lock: bool
) -> tuple[list[Any], list[UUID]]:
    """Return the jobs of structures, and the ids of those that a worker is at.

    With ``lock`` no worker claims one of the others. A job that is locked is not waited for: who
    ends a job locks it first and then the structure, so both would wait.
    """
    jobs = await _rows(session, _JOBS, ids=tree)
    running = [row["id"] for row in jobs if row["status"] == "running"]
    if lock:
        locked = await _rows(session, _JOBS + _LOCK_JOBS, ids=tree)
        free = {row["id"] for row in locked if row["status"] != "running"}
        running = [row["id"] for row in jobs if row["id"] not in free]
        jobs = jobs if running else locked
    return jobs, running


async def _rows(session: AsyncSession, statement: str, *, ids: list[UUID]) -> list[Any]:
    return list((await session.execute(text(statement), {"ids": ids})).mappings())


_DERIVED = """
WITH RECURSIVE tree AS (
    SELECT id FROM structures WHERE id = ANY(CAST(:ids AS uuid[]))
    UNION
    SELECT child.id FROM structures AS child JOIN tree ON child.parent_id = tree.id
)
SELECT id, owner_id,
       concat_ws(', ', coalesce(name, reduced_formula), origin) AS description
FROM structures
WHERE id IN (SELECT id FROM tree) AND id <> ALL (CAST(:ids AS uuid[]))
ORDER BY id
"""

_JOBS = """
SELECT job.id, job.owner_id, job.status,
       concat_ws(', ', coalesce(workflow.name, job.origin), job.status) AS description
FROM simulation_jobs AS job
LEFT JOIN workflow_templates AS workflow ON workflow.id = job.workflow_template_id
WHERE job.structure_id = ANY(CAST(:ids AS uuid[]))
OR job.id IN (SELECT simulation_job_id FROM simulation_results
              WHERE output_structure_id = ANY(CAST(:ids AS uuid[])))
ORDER BY job.id
"""

_N_PUBLIC = """
SELECT count(*) FROM structures WHERE id = ANY(CAST(:ids AS uuid[])) AND visibility = 'public'
"""

_LOCK_STRUCTURES = "FOR UPDATE OF structures"
_LOCK_JOBS = "FOR UPDATE OF job SKIP LOCKED"

_RESULTS = """
SELECT result.id, coalesce(workflow.name, job.origin) AS description
FROM simulation_results AS result
JOIN simulation_jobs AS job ON job.id = result.simulation_job_id
LEFT JOIN workflow_templates AS workflow ON workflow.id = job.workflow_template_id
WHERE job.id = ANY(CAST(:ids AS uuid[]))
ORDER BY result.id
"""

_LEFT = """
SELECT array_agg(DISTINCT material_id) AS materials,
       array_agg(DISTINCT citation_id) FILTER (WHERE citation_id IS NOT NULL) AS citations
FROM structures WHERE id = ANY(CAST(:ids AS uuid[]))
"""

_DELETE_RESULTS = "DELETE FROM simulation_results WHERE id = ANY(CAST(:ids AS uuid[]))"
_DELETE_JOBS = "DELETE FROM simulation_jobs WHERE id = ANY(CAST(:ids AS uuid[]))"
_DELETE_STRUCTURES = "DELETE FROM structures WHERE id = ANY(CAST(:ids AS uuid[]))"
