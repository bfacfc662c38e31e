"""Which imported run continues which: it began with the geometry that the other ended with.

First by the structures, which are one where their fingerprints are; then by what is the same but
for the digits that outputs print, and by the geometry that a relaxation left for the next one
when its steps or its time ran out.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from api.models import SimulationJob, SimulationResult, Structure
from api.services.structures import to_atoms
from nanoos.structures import Structure as Atoms
from nanoos.structures.sameness import same_geometries


async def link(session: AsyncSession, new: Collection[UUID], owner_id: UUID) -> None:
    """Link the new runs to what they continue, and what continues them; never in a ring.

    The caller holds the owner's lock.
    """
    said = {"new": list(new), "owner_id": owner_id}
    await _link(session, _LINKS, said)
    begun, ended = await _same(session, said)
    if begun:
        await _link(session, _LINKS_OF_SAME, said | {"begun": begun, "ended": ended})


async def _link(session: AsyncSession, links: str, said: dict[str, Any]) -> None:
    pairs = {row.later_id: row.earlier_id for row in await session.execute(text(links), said)}
    known = await session.execute(text(_CHAINS), {"ids": list(pairs.values())})
    before = {row.id: row.continues_id for row in known}
    for later, earlier in pairs.items():
        one: UUID | None = earlier
        while one is not None and one != later:
            one = before.get(one)
        if one is None:
            before[later] = earlier
            linked = update(SimulationJob).where(SimulationJob.id == later)
            await session.execute(
                linked.values(continues_id=earlier),
                execution_options={"synchronize_session": False},
            )


async def _same(session: AsyncSession, said: dict[str, Any]) -> tuple[list[UUID], list[UUID]]:
    """Return structures that runs began with, and for each the id of what ended there.

    That is a structure, or the result of a run that left a geometry.
    """
    near = (await session.execute(text(_NEAR), said)).one()
    if not near.ended and not near.left_behind:
        return [], []
    begun_ids, begun = await _stored(session, near.begun)
    ended_ids, ended = await _stored(session, near.ended)
    left_ids, left = await _left(session, near.left_behind)
    ids = [*ended_ids, *left_ids]
    same = list(same_geometries(begun, [*ended, *left]))
    return [begun_ids[i] for i, _ in same], [ids[j] for _, j in same]


async def _stored(
    session: AsyncSession, ids: Sequence[UUID] | None
) -> tuple[list[UUID], list[Atoms]]:
    wanted = (
        Structure.id,
        Structure.lattice_a,
        Structure.positions_a,
        Structure.species,
        Structure.species_at_sites,
        Structure.dimension_types,
    )
    rows = (await session.execute(select(*wanted).where(Structure.id.in_(ids or ())))).all()
    return [row.id for row in rows], [to_atoms(row) for row in rows]


async def _left(
    session: AsyncSession, ids: Sequence[UUID] | None
) -> tuple[list[UUID], list[Atoms]]:
    """Return the geometries that results have for the next run, of those ids."""
    geometry = SimulationResult.data["next_geometry"]["values"]
    wanted = select(SimulationResult.id, geometry).where(SimulationResult.id.in_(ids or ()))
    rows = (await session.execute(wanted)).all()
    return [id_ for id_, _ in rows], [
        Atoms.of(given["lattice"], given["positions"], given["symbols"]) for _, given in rows
    ]


# By the same method: the distance of k-points may have changed with the cell. One of the same
# folder is preferred. Where times are known, the other ended before; clocks of two machines may be
# a minute apart.
_PAIRS = """
SELECT later.id AS later_id, earlier.id AS earlier_id,
       regexp_replace(later.source_name, '/[^/]*$', '')
       = regexp_replace(earlier.source_name, '/[^/]*$', '') AS is_near,
       earlier.finished_at
FROM simulation_jobs AS later
JOIN simulation_results AS later_result ON later_result.simulation_job_id = later.id
JOIN methods AS later_method ON later_method.sha256 = later_result.method_sha256
{ended}
JOIN methods AS earlier_method ON earlier_method.sha256 = earlier_result.method_sha256
JOIN simulation_jobs AS earlier ON earlier.id = earlier_result.simulation_job_id
WHERE later.origin = 'imported' AND earlier.origin = 'imported'
AND later.owner_id = CAST(:owner_id AS uuid) AND earlier.owner_id = later.owner_id
AND later.continues_id IS NULL AND earlier.id <> later.id
AND earlier.continues_id IS DISTINCT FROM later.id
AND earlier.status <> 'cancelled' AND later.status <> 'cancelled'
AND coalesce(earlier.started_at + coalesce(earlier_result.wall_time_s, 0) * interval '1 second'
             <= later.started_at + interval '1 minute', true)
AND later_method.document - 'k_spacing_per_a' = earlier_method.document - 'k_spacing_per_a'
"""

_OF_STRUCTURE = """
JOIN simulation_results AS earlier_result ON earlier_result.output_structure_id = later.structure_id
"""

_OF_SAME = """
JOIN unnest(CAST(:begun AS uuid[]), CAST(:ended AS uuid[])) AS same (begun, ended)
  ON same.begun = later.structure_id
JOIN simulation_results AS earlier_result
  ON earlier_result.output_structure_id = same.ended OR earlier_result.id = same.ended
"""


def _links(ended: str) -> str:
    pairs = _PAIRS.format(ended=ended)
    return f"""
        SELECT DISTINCT ON (later_id) later_id, earlier_id FROM (
            {pairs} AND later.id = ANY(CAST(:new AS uuid[]))
            UNION
            {pairs} AND earlier.id = ANY(CAST(:new AS uuid[]))
        ) AS pairs
        ORDER BY later_id, is_near DESC, finished_at DESC, earlier_id
    """  # noqa: S608 - only our own statements are put in


_LINKS = _links(_OF_STRUCTURE)
_LINKS_OF_SAME = _links(_OF_SAME)

# What is of one formula and, to the digits printed, of one volume as what came in. Where that are
# very many, as of one slab with much on it, the newest are looked at. Bands of volumes, twice as
# wide as what may differ, are joined on: of one formula all else would be met with all.
_BAND = "coalesce(floor(ln(nullif(greatest({0}, 0), 0)) * 5000), 0)"
_IS_NEAR = """
  {one}.reduced_formula = wanted.reduced_formula
  AND {one}.number_of_sites = wanted.number_of_sites AND {one}.band = wanted.band
  AND ({one}.volume_a3 BETWEEN wanted.volume_a3 * 0.9999 AND wanted.volume_a3 * 1.0001
       OR {one}.volume_a3 IS NULL AND wanted.volume_a3 IS NULL)
"""
_NEAR = f"""
WITH came AS MATERIALIZED (
    SELECT structure.reduced_formula, structure.number_of_sites, structure.volume_a3,
           CAST(result.data -> 'next_volume' ->> 'values' AS float8) AS next_volume_a3
    FROM simulation_jobs AS job
    LEFT JOIN simulation_results AS result ON result.simulation_job_id = job.id
    JOIN structures AS structure ON structure.id IN (job.structure_id, result.output_structure_id)
    WHERE job.id = ANY(CAST(:new AS uuid[]))
), wanted AS MATERIALIZED (
    SELECT came.*, {_BAND.format("volume_a3")} + beside AS band
    FROM (
        SELECT reduced_formula, number_of_sites, volume_a3 FROM came
        UNION
        SELECT reduced_formula, number_of_sites, next_volume_a3 FROM came
        WHERE next_volume_a3 IS NOT NULL
    ) AS came, generate_series(-1, 1) AS beside
), kinds AS MATERIALIZED (
    SELECT DISTINCT reduced_formula, number_of_sites FROM came
), known AS MATERIALIZED (
    SELECT structure.id, reduced_formula, number_of_sites, volume_a3,
           {_BAND.format("volume_a3")} AS band
    FROM kinds JOIN structures AS structure USING (reduced_formula, number_of_sites)
    WHERE structure.owner_id = CAST(:owner_id AS uuid) OR structure.visibility = 'public'
), alike AS MATERIALIZED (
    SELECT DISTINCT known.id FROM wanted JOIN known ON {_IS_NEAR.format(one="known")}
    ORDER BY known.id DESC LIMIT 2000
), next AS MATERIALIZED (
    SELECT result.id, reduced_formula, number_of_sites,
           CAST(result.data -> 'next_volume' ->> 'values' AS float8) AS volume_a3
    FROM kinds JOIN structures AS structure USING (reduced_formula, number_of_sites)
    JOIN simulation_jobs AS job ON job.structure_id = structure.id
    JOIN simulation_results AS result ON result.simulation_job_id = job.id
    WHERE job.origin = 'imported' AND job.owner_id = CAST(:owner_id AS uuid)
    AND result.data ? 'next_volume'
), next_in_band AS MATERIALIZED (
    SELECT *, {_BAND.format("volume_a3")} AS band FROM next
), left_behind AS MATERIALIZED (
    SELECT DISTINCT next_in_band.id FROM wanted
    JOIN next_in_band ON {_IS_NEAR.format(one="next_in_band")}
    ORDER BY next_in_band.id DESC LIMIT 2000
)
SELECT
    (SELECT array_agg(DISTINCT alike.id) FROM alike
     JOIN simulation_jobs AS job ON job.structure_id = alike.id
     WHERE job.origin = 'imported' AND job.owner_id = CAST(:owner_id AS uuid)
     AND job.continues_id IS NULL) AS begun,
    (SELECT array_agg(DISTINCT alike.id) FROM alike
     JOIN simulation_results AS result ON result.output_structure_id = alike.id) AS ended,
    (SELECT array_agg(id) FROM left_behind) AS left_behind
"""  # noqa: S608 - only our own statements are put in

_CHAINS = """
WITH RECURSIVE chain AS (
    SELECT id, continues_id FROM simulation_jobs WHERE id = ANY(CAST(:ids AS uuid[]))
    UNION
    SELECT job.id, job.continues_id FROM simulation_jobs AS job
    JOIN chain ON job.id = chain.continues_id
)
SELECT id, continues_id FROM chain
"""
