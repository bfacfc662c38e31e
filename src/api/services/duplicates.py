"""Duplicates in view, by tier: what the database knows by a key that the same have in common.

Near-duplicates, which have none, are those of `api.services.near_duplicates`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, distinct, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from api.models import Structure, StructureSource
from api.schemas.duplicates import Group, Groups, Member, Tier
from api.schemas.search import Query
from api.schemas.structure import SourceRow
from api.services import search


class Page(NamedTuple):
    """Which groups are wanted, and how many members of each."""

    groups: int = 20
    number: int = 1
    members: int = 10


class _Kind(NamedTuple):
    """How a tier groups: by which key, and what its members differ in."""

    key: Any
    each: Any
    by_name: bool = False


_AT = tuple_(Structure.id, StructureSource.sha256, StructureSource.place)
_KINDS = {
    Tier.FILE: _Kind(StructureSource.sha256, StructureSource.name, by_name=True),
    Tier.EXACT: _Kind(Structure.fingerprint, _AT),
    Tier.PROTOSTRUCTURE: _Kind(Structure.protostructure, Structure.id),
}


async def groups(
    session: AsyncSession, query: Query, tier: Tier, page: Page | None = None
) -> Groups:
    """Return groups of structures that the query finds, the largest first.

    ``file``: one content under several names. ``exact``: one structure at several places of
    files, or in several scopes in view. ``protostructure``: equal labels.
    """
    page = page or Page()
    kind = _KINDS[tier]
    size = func.count(distinct(kind.each))
    grouped = (
        _joined(query, tier, kind.key, size.label("size"), func.count().over().label("n"))
        .where(kind.key.is_not(None))
        .group_by(kind.key)
        .having(size > 1)
    )
    rows = (
        await session.execute(
            grouped.order_by(size.desc(), kind.key)
            .limit(page.groups)
            .offset((page.number - 1) * page.groups)
        )
    ).all()
    members = await _members(session, query, tier, [row[0] for row in rows], page.members)
    return Groups(
        tier=tier,
        count=rows[0].n if rows else 0,
        groups=[Group(key=row[0], size=row.size, members=members[row[0]]) for row in rows],
    )


def _joined(query: Query, tier: Tier, *columns: Any) -> Select[Any]:
    """Return a SELECT of structures that the query finds, with their places where they count."""
    selected = select(*columns).select_from(Structure).where(*search.condition(query))
    if tier is Tier.PROTOSTRUCTURE:
        return selected
    of_structure = StructureSource.structure_id == Structure.id
    return selected.join(StructureSource, of_structure, isouter=tier is Tier.EXACT)


async def _members(
    session: AsyncSession, query: Query, tier: Tier, keys: Sequence[str], limit: int
) -> dict[str, list[Member]]:
    """Return the first members of each group."""
    kind = _KINDS[tier]
    columns: dict[str, Any] = {"source_name": func.min(_file(tier))}
    by: list[Any] = [kind.key]
    if kind.by_name:
        by.append(StructureSource.name)
    else:
        place = StructureSource.place if tier is Tier.EXACT else None
        columns |= {
            name: getattr(Structure, name)
            for name in ("id", "name", "reduced_formula", "visibility", "source")
        } | ({} if place is None else {"place": place})
        by += [Structure.id, *([StructureSource.sha256, place] if place is not None else [])]
    rank = func.row_number().over(partition_by=kind.key, order_by=by[1:]).label("rank")
    labelled = [column.label(name) for name, column in columns.items()]
    ranked = (
        _joined(query, tier, kind.key.label("key"), rank, *labelled)
        .where(kind.key.in_(keys))
        .group_by(*by)
        .subquery()
    )
    wanted = select(ranked).where(ranked.c.rank <= limit).order_by(ranked.c.key, ranked.c.rank)
    found: dict[str, list[Member]] = defaultdict(list)
    for row in (await session.execute(wanted)).mappings():
        found[row["key"]].append(Member.model_validate({name: row[name] for name in columns}))
    return found


def _file(tier: Tier) -> Any:
    return Structure.source_name if tier is Tier.PROTOSTRUCTURE else StructureSource.name


async def sources(session: AsyncSession, id_: UUID) -> list[SourceRow]:
    """Return the places in files where a structure in view was found, by name."""
    rows = await session.scalars(
        select(StructureSource)
        .join(Structure, Structure.id == StructureSource.structure_id)
        .where(Structure.id == id_)
        .order_by(StructureSource.name, StructureSource.place)
    )
    return [
        SourceRow(
            source_name=row.name,
            place=row.place,
            source_format=row.format,
            source_sha256=row.sha256,
            created_at=row.created_at,
        )
        for row in rows
    ]
