"""Which calculation of the same it is: what is finished is not done again without a reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from api.services import structures
from nanoos.canonical import sha256
from nanoos.engines import Engine
from nanoos.methods import sha256 as sha256_of_method


def identity(
    parameters: Mapping[str, Any], engine_parameters: Mapping[str, Any], repetition: int = 0
) -> str:
    """Return the hash of what is asked of a structure beside workflow and engine.

    Parameters alone have the hash of their canonical JSON, as they had before engines took any.
    """
    if not (engine_parameters or repetition):
        return sha256(parameters)
    return sha256({"parameters": parameters, "engine": engine_parameters, "repetition": repetition})


def identity_of(job: Mapping[str, Any]) -> Callable[[int, UUID | None], str]:
    """Return what hashes a repetition of ``job``, which may wait for the structure of another.

    While it waits it is not the same as what is asked of the structure that stands in its place.
    """

    def of(repetition: int, needed_id: UUID | None = None) -> str:
        asked = identity(job["parameters"], job["engine_parameters"], repetition)
        return asked if needed_id is None else sha256({"asked": asked, "of": str(needed_id)})

    return of


async def wanted(
    session: AsyncSession,
    job: Mapping[str, Any],
    structure_ids: Sequence[UUID],
    engine: Engine,
    *,
    fresh: bool,
) -> dict[UUID, int]:
    """Return which repetition of ``job`` is asked for of each structure, 0 being the first.

    It is the last one there is, or the next one: with ``fresh``, or where the last one is done
    by a method that is no longer the engine's. What cannot run here cannot tell its method; its
    results are taken as they are.
    """
    rows = await session.execute(_LAST, {**job, "structure_ids": list(structure_ids)})
    last = {row.structure_id: row for row in rows}
    turns = {id_: last[id_].repetition if id_ in last else 0 for id_ in structure_ids}
    if fresh:
        return {id_: turn + (id_ in last) for id_, turn in turns.items()}
    done = {id_: row.method_sha256 for id_, row in last.items() if row.method_sha256}
    for id_ in await _outdated(session, done, engine):
        turns[id_] += 1
    return turns


async def _outdated(
    session: AsyncSession, methods: Mapping[UUID, str], engine: Engine
) -> list[UUID]:
    """Return the structures whose results have other methods than the engine has for them now."""
    if not methods or engine.probe() is not None:
        return []
    general = sha256_of_method(engine.method())
    differing = [id_ for id_, method in methods.items() if method != general]
    return [
        row.id
        for row in await structures.get(session, differing)
        if sha256_of_method(engine.method(structures.to_atoms(row))) != methods[row.id]
    ]


_LAST = text("""
SELECT DISTINCT ON (structure_id) structure_id, repetition, method_sha256
FROM simulation_jobs AS job
LEFT JOIN simulation_results AS result ON result.simulation_job_id = job.id
WHERE structure_id = ANY(CAST(:structure_ids AS uuid[])) AND owner_id = :owner_id
  AND workflow_template_id = :workflow_template_id AND engine = :engine
  AND parameters = :parameters AND engine_parameters = :engine_parameters
  AND origin = 'submitted'
ORDER BY structure_id, repetition DESC, status IN ('failed', 'cancelled')
""").bindparams(bindparam("parameters", type_=JSONB), bindparam("engine_parameters", type_=JSONB))
