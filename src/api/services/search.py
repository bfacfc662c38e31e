"""Search: the structures in view that meet a query, sorted, page by page or all in a stream.

A page is found by its place in the order (keyset), so the thousandth costs what the first
does, and structures that come in meanwhile shift nothing. The count is exact to a limit;
beyond it is estimated from a sample of the rows, those in view alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from math import log10
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Double,
    Row,
    Select,
    bindparam,
    func,
    literal_column,
    select,
    tablesample,
    text,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased, contains_eager, defer

from api.models import Structure
from api.schemas.search import Page, Query, Sort, StructureRow
from api.services.criteria import Condition, Known, condition, is_counted_by_index, look_up
from api.services.cursor import Cursor
from api.services.order import (
    Part,
    ends,
    gathered,
    in_order,
    parts,
    sorted_up_to,
    spelled,
    usual,
    walked,
    walked_by_name,
    without_value,
)

__all__ = ["COUNTED", "Count", "condition", "count", "find", "stream"]

COUNTED = 6_000
"""Structures that are counted one by one; how many more there are is estimated.

Of a million, as many rows are read to fetch so many of them as to meet a page's fifty in order.
"""
SURELY_FEW = 4_800
"""What a sample may say at most of structures that are then fetched, and counted so."""
SAMPLE = 2_000
"""Rows that an estimate looks at,"""
SAMPLE_OF_WORDS = 700
"""and where words are looked for, which is dear."""


class Count(NamedTuple):
    """How many structures a query finds, and whether they were counted."""

    number: int
    is_exact: bool


async def find(
    session: AsyncSession,
    query: Query,
    *,
    sort: Sort | None = None,
    after: str | None = None,
    limit: int = 50,
) -> Page:
    """Return the ``limit`` structures that come after the cursor ``after``, or the first ones.

    Without ``sort`` they come in the `usual` order.
    Raises WrongUsage for a cursor of another query or order, and for a quantity that results
    do not have.
    """
    sort = sort or usual(query)
    cursor = None if after is None else Cursor.read(after, query, sort)
    await _plan_each(session)
    known = await look_up(session, query)
    where = condition(query, known=known)
    if cursor is None:
        found, are_few = await _look(session, query, known, where)
    else:
        found = Count(cursor.count, cursor.is_exact)
        are_few = found.is_exact and found.number <= COUNTED
    rows: Sequence[Row[Any]] = []
    if are_few:
        most = COUNTED + 1
        rows = (await session.execute(gathered(where, sort, cursor, limit + 1, most))).all()
        number = rows[0].number if rows else 0
        # Not so after all; or so many came in since that none of these is behind the cursor.
        are_few = number <= COUNTED and (bool(rows) or cursor is None)
        found = Count(number, True) if are_few else Count(max(found.number, COUNTED), False)
    if cursor is None:
        cursor = Cursor.start(query, sort, found.number, is_exact=found.is_exact)
    valued = not without_value(query, sort)
    if not are_few and valued and cursor.count <= sorted_up_to(query, sort, cursor):
        behind = cursor if after else None
        rows = (await session.execute(gathered(where, sort, behind, limit + 1))).all()
    elif not are_few:
        named = spelled(query, sort)
        met = named or condition(query, known=known, is_met=True)
        read = walked_by_name if named else walked
        rows = await _walk(session, read, met + ends(query, sort), cursor, limit + 1, valued=valued)
    return Page(
        rows=[_row(row) for row in rows[:limit]],
        after=str(cursor.behind(rows[limit - 1])) if len(rows) > limit else None,
        count=cursor.count,
        is_exact=cursor.is_exact,
    )


def _row(row: Row[Any]) -> StructureRow:
    """Return a row as it is shown; the number of all that may follow is no part of it."""
    return StructureRow.model_validate(dict(zip(StructureRow.model_fields, row, strict=False)))


async def _walk(
    session: AsyncSession,
    read: Callable[[list[Condition], Part, int], Select[Any]],
    where: list[Condition],
    cursor: Cursor,
    limit: int,
    *,
    valued: bool,
) -> Sequence[Row[Any]]:
    """Read along the order; of what has no value, none of it is ``valued``, the end alone."""
    rows: list[Row[Any]] = []
    for part in list(parts(cursor.sort, cursor))[0 if valued else -1 :]:
        rows += await session.execute(read(where, part, limit - len(rows)))
        if len(rows) == limit:
            break
    return rows


async def count(session: AsyncSession, query: Query) -> Count:
    """Return how many structures in view meet the query, counted or, of many, estimated."""
    await _plan_each(session)
    known = await look_up(session, query)
    counted = await _count(session, condition(query, known=known))
    return counted or await _estimate(session, query, known)


async def _count(session: AsyncSession, where: list[Condition]) -> Count | None:
    """Return how many there are; None of more than are counted."""
    some = select(Structure.id).where(*where).limit(COUNTED + 1)
    number = await session.scalar(select(func.count()).select_from(some.subquery())) or 0
    return Count(number, is_exact=True) if number <= COUNTED else None


class _Sample(NamedTuple):
    """Structures in view that meet a query among a share of all rows."""

    hits: int
    share: float

    @property
    def number(self) -> float:
        """How many there are of all rows, if they are as the sample is."""
        return self.hits / self.share

    @property
    def says_enough(self) -> bool:
        """Whether the number that follows is right to about a tenth."""
        return self.hits >= 100


async def _sample(session: AsyncSession, query: Query, known: Known) -> _Sample:
    """Look at some rows, whole pages of the table, the same ones each time."""
    rows = SAMPLE_OF_WORDS if query.words else SAMPLE
    looked_at = select(func.count(_SAMPLED.id), _PERCENTAGE).where(
        *condition(query, _SAMPLED, known, is_met=True)
    )
    hits, percentage = (await session.execute(looked_at, {"rows": rows})).one()
    return _Sample(hits, percentage / 100)


_EVERYTHING: ColumnElement[float] = literal_column("""(
    SELECT pg_relation_size(oid) / current_setting('block_size')::int
           * CASE WHEN reltuples > 0 THEN reltuples / greatest(relpages, 1) ELSE 1 END
    FROM pg_class WHERE oid = 'structures'::regclass)""")
_PERCENTAGE = func.least(
    100.0, 100 * bindparam("rows", type_=Double) / func.greatest(1.0, _EVERYTHING)
)
_SAMPLED = aliased(
    Structure, tablesample(Structure, func.system(_PERCENTAGE), seed=literal_column("0"))
)
"""Made once: the alias of a table of so many columns takes longer than the question to it."""


async def _look(
    session: AsyncSession, query: Query, known: Known, where: list[Condition]
) -> tuple[Count, bool]:
    """Return about how many there are, or exactly, and whether all are to be fetched.

    They are counted if an index alone tells; of others, which are counted as they are fetched, a
    sample tells whether there are few: surely so, as it is dear to fetch thousands for nothing.
    """
    if is_counted_by_index(query):
        counted = await _count(session, where)
        return counted or await _estimate(session, query, known), counted is not None
    sample = await _sample(session, query, known)
    # Structures of one publication lie together, so that a sample has none of them or many.
    few = 4 * SURELY_FEW if known.is_rare else SURELY_FEW
    return _number(sample, 1), known.serves(query) and sample.number <= few


async def _estimate(session: AsyncSession, query: Query, known: Known) -> Count:
    """Return about how many structures in view meet the query, more than were counted.

    Not as the planner estimates it, whose statistics know of everybody's rows: the matches in
    view are counted on a sample.
    """
    return _number(await _sample(session, query, known), COUNTED)


def _number(sample: _Sample, least: int) -> Count:
    """Return what a sample says of a number that is not counted, at ``least``, as it is shown."""
    digits = 2 if sample.says_enough else 1
    rounded = (
        int(round(sample.number, digits - 1 - int(log10(sample.number)))) if sample.hits else 0
    )
    return Count(max(rounded, least), is_exact=False)


async def stream(
    session: AsyncSession, query: Query, *, sort: Sort | None = None, batch: int = 500
) -> AsyncIterator[list[Structure]]:
    """Yield all that the query finds in full, with their materials, ``batch`` at a time.

    The ids come from one statement on the server, so each structure comes once; one that is
    deleted meanwhile is left out. Memory holds one batch.
    """
    await _plan_each(session)
    where = condition(query, known=await look_up(session, query))
    ids = select(Structure.id).where(*where).order_by(*in_order(sort or usual(query), Structure))
    found = await session.stream_scalars(ids, execution_options={"yield_per": batch})
    async for some in found.partitions():
        rows = await session.scalars(
            select(Structure)
            .join(Structure.material)
            .options(contains_eager(Structure.material), defer(Structure.source_text))
            .where(Structure.id.in_(some))
        )
        by_id = {row.id: row for row in rows}
        yield [by_id[id_] for id_ in some if id_ in by_id]


async def _plan_each(session: AsyncSession) -> None:
    """Have each statement of this transaction planned for its own values, and for one process.

    The plan for any values, which PostgreSQL takes from the sixth time on, is right for none;
    and no page is so much work that starting other processes for it would pay. In the memory
    that is usual, the places of 100,000 rows are kept by page, and each of its rows is read.
    """
    await session.execute(_PLANNED_EACH)


_PLANNED_EACH = text(
    "SELECT set_config('plan_cache_mode', 'force_custom_plan', true),"
    " set_config('max_parallel_workers_per_gather', '0', true),"
    " set_config('work_mem', '32MB', true), set_config('jit', 'off', true)"
)
