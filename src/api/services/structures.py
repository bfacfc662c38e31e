"""Structures: in full, and back to the science."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import contains_eager

from api.errors import NotFound
from api.models import Material, Structure
from api.schemas.structure import StructureDetail
from nanoos.structures import Species
from nanoos.structures import Structure as Atoms


def to_atoms(row: Structure | StructureDetail | Row[Any]) -> Atoms:
    """Return a row, or its document, as the science's structure, exactly as stored."""
    return Atoms(
        lattice_a=None if row.lattice_a is None else np.array(row.lattice_a),
        positions_a=np.array(row.positions_a),
        species=tuple(
            Species(s["name"], tuple(s["chemical_symbols"]), tuple(s["concentration"]))
            for s in row.species
        ),
        species_at_sites=tuple(row.species_at_sites),
        periodic=(
            bool(row.dimension_types[0]),
            bool(row.dimension_types[1]),
            bool(row.dimension_types[2]),
        ),
    )


def _summary(row: Structure) -> dict[str, object]:
    return row.values() | {
        "reduced_formula": row.material.reduced_formula,
        "anonymous_formula": row.material.anonymous_formula,
        "hill_formula": row.material.hill_formula,
        "chemical_system": row.material.chemical_system,
        "elements": row.material.elements,
    }


def _query() -> Select[Structure]:
    return select(Structure).join(Structure.material).options(contains_eager(Structure.material))


async def count(session: AsyncSession) -> int:
    """Return how many structures are in view."""
    return await session.scalar(select(func.count()).select_from(Structure)) or 0


async def show(session: AsyncSession, id_: UUID) -> StructureDetail:
    """Return one structure in full, or raise NotFound."""
    return StructureDetail.model_validate(_summary((await get(session, [id_]))[0]))


async def details(session: AsyncSession) -> list[StructureDetail]:
    """Return all structures in view in full, by formula."""
    rows = await session.scalars(_query().order_by(Material.reduced_formula, Structure.id))
    return [StructureDetail.model_validate(_summary(row)) for row in rows]


async def present(session: AsyncSession, ids: Sequence[UUID]) -> dict[UUID, Structure]:
    """Return those of these ids that are there, by id."""
    return {row.id: row for row in await session.scalars(_query().where(Structure.id.in_(ids)))}


async def get(session: AsyncSession, ids: Sequence[UUID]) -> list[Structure]:
    """Return the structures of these ids in their order; NotFound names the missing ones."""
    rows = await present(session, ids)
    if missing := [str(id_) for id_ in ids if id_ not in rows]:
        raise NotFound(f"No structure {', '.join(missing)}.")
    return [rows[id_] for id_ in ids]


async def stream(session: AsyncSession) -> AsyncIterator[Structure]:
    """Yield every structure in view, in order of their making, a few at a time."""
    rows = await session.stream_scalars(_query().order_by(Structure.id))
    async for row in rows:
        yield row
