"""Structures as what writers take: everything that is known of each, in memory only a batch."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.models import Structure
from api.services import structures
from api.services.structures import to_atoms
from nanoos.writers import FIELDS, Record

_FIELDS = {field.name for field in FIELDS}
_FROM_MATERIAL = ("reduced_formula", "anonymous_formula", "hill_formula", "chemical_system")


def record(row: Structure) -> Record:
    """Return a structure, with its material, as what writers take."""
    known = {name: value for name, value in row.values().items() if name in _FIELDS}
    known |= {name: getattr(row.material, name) for name in _FROM_MATERIAL}
    known |= {"id": str(row.id), "parent_id": row.parent_id and str(row.parent_id)}
    return Record(to_atoms(row), row.extra, known)


async def named(session: AsyncSession, ids: Sequence[UUID]) -> AsyncIterator[list[Record]]:
    """Yield the structures of these ids, in one batch; raises NotFound before."""
    yield [record(row) for row in await structures.get(session, ids)]


async def stream(session: AsyncSession, batch: int = 500) -> AsyncIterator[list[Record]]:
    """Yield every structure in view, ``batch`` at a time."""
    records = []
    async for row in structures.stream(session):
        records.append(record(row))
        if len(records) == batch:
            yield records
            records = []
    yield records
