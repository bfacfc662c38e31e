"""Near-duplicates among the structures in view: formula by formula.

What compares them is `api.services.comparing`; nothing is ever merged by it. Pairs may be stored
as similarities of the model `MODEL`, whose distance is the rms displacement in Å.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from api.models import Structure
from api.schemas.duplicates import Group, Member, Pair
from api.schemas.search import Query
from api.services import search
from api.services.comparing import Bucket
from api.services.structures import to_atoms
from nanoos.structures.matching import MATCHING_VERSION

MODEL = "match"
MOST = 20_000
"""Structures of one formula that are compared; more would take hours."""


class Size(NamedTuple):
    """How many structures there are of a formula."""

    reduced_formula: str
    structures: int


async def sizes(session: AsyncSession, query: Query) -> list[Size]:
    """Return the formulas that several structures have, those with most first."""
    formula, n = Structure.reduced_formula, func.count()
    rows = await session.execute(
        select(formula, n)
        .where(*search.condition(query), formula.is_not(None))
        .group_by(formula)
        .having(n > 1)
        .order_by(n.desc(), formula)
    )
    return [Size(str(name), number) for name, number in rows]


async def bucket(session: AsyncSession, query: Query, reduced_formula: str) -> Bucket:
    """Return the structures of a formula that the query finds."""
    rows = await session.scalars(
        select(Structure)
        .where(*search.condition(query), Structure.reduced_formula == reduced_formula)
        .order_by(Structure.id)
    )
    found = list(rows)
    return Bucket(reduced_formula, [row.id for row in found], [to_atoms(row) for row in found])


def grouped(pairs: Iterable[Pair]) -> list[list[UUID]]:
    """Return what pairs hold together, the largest group first, each in order of id."""
    group_of: dict[UUID, set[UUID]] = {}
    for pair in pairs:
        one = group_of.setdefault(pair.id, {pair.id})
        other = group_of.setdefault(pair.other_id, {pair.other_id})
        if one is other:
            continue
        small, large = sorted((one, other), key=len)
        large |= small
        group_of.update(dict.fromkeys(small, large))
    distinct = {id(group): sorted(group) for group in group_of.values()}
    return sorted(distinct.values(), key=lambda group: (-len(group), group[0]))


async def described(session: AsyncSession, groups: list[list[UUID]], members: int) -> list[Group]:
    """Return groups with their first members as they are to be shown."""
    shown = [id_ for group in groups for id_ in group[:members]]
    columns = ("id", "name", "reduced_formula", "visibility", "source")
    rows = await session.execute(
        select(*(getattr(Structure, name) for name in columns), Structure.source_name).where(
            Structure.id.in_(shown)
        )
    )
    by_id = {
        row.id: Member.model_validate({**row._mapping, "file": row.source_name}) for row in rows
    }
    return [
        Group(
            key=str(group[0]),
            size=len(group),
            members=[by_id[id_] for id_ in group[:members] if id_ in by_id],
        )
        for group in groups
    ]


async def link(session: AsyncSession, pairs: Iterable[Pair]) -> int:
    """Store pairs as similarities; return how many of them are stored now.

    What is stored already is replaced; a pair of which one is gone is left out.
    """
    rows = sorted(pairs, key=lambda pair: (pair.id, pair.other_id))
    said = {
        "ones": [pair.id for pair in rows],
        "others": [pair.other_id for pair in rows],
        "distances": [pair.rms_a for pair in rows],
        "model": MODEL,
        "version": str(MATCHING_VERSION),
    }
    stored = await session.scalars(text(_LINK), said)
    return len(stored.all())


_LINK = """
INSERT INTO structure_similarities
    (structure_a_id, structure_b_id, model, model_version, distance)
SELECT least(one.id, other.id), greatest(one.id, other.id), :model, :version, distance
FROM unnest(CAST(:ones AS uuid[]), CAST(:others AS uuid[]), CAST(:distances AS float8[]))
     AS pair (one_id, other_id, distance)
JOIN structures AS one ON one.id = one_id
JOIN structures AS other ON other.id = other_id
ON CONFLICT (structure_a_id, structure_b_id, model, model_version)
DO UPDATE SET distance = excluded.distance
RETURNING distance
"""
