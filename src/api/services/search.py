"""Search: the structures in view that meet a query, sorted, page by page or all in a stream.

A page is found by its place in the order (keyset), so the thousandth costs what the first
does, and structures that come in meanwhile shift nothing. The count is exact to a limit;
beyond it is estimated from a sample of the rows, those in view alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from math import log10, sqrt
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Double,
    Row,
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
    ends,
    gathered,
    go_together,
    in_order,
    parts,
    usual,
    walked,
    without_value,
)

__all__ = ["COUNTED", "Count", "condition", "count", "find", "stream"]

COUNTED = 6_000
"""Structures that are counted one by one; how many more there are is estimated.

Of a million, as many rows are read to fetch so many of them as to meet a page's fifty in order.
"""
SORTED = 50_000
"""Structures that are all fetched and sorted, where they may lie at the far end of the order."""
SAMPLE = 2_500
"""Rows that an estimate looks at."""
GLANCE = 1_000
"""Rows that are looked at beforehand, and of a search for words, whose every look is dear."""


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
    found, are_few = None, cursor is not None and cursor.is_exact and cursor.count <= COUNTED
    if cursor is None:
        found, are_few = await _look(session, query, known, where)
    rows: Sequence[Row[Any]] = []
    if are_few:
        most = COUNTED + 1
        rows = (await session.execute(gathered(where, sort, cursor, limit + 1, most))).all()
        number = rows[0].number if rows else 0
        are_few = number <= COUNTED  # not so after all, or many came in since the first page
    if cursor is None:
        if are_few:
            found = Count(number, True)
        elif found is None:
            found = await _estimate(session, query, known)
        cursor = Cursor.start(query, sort, found.number, is_exact=found.is_exact)
    valued = not without_value(query, sort)
    if not are_few and valued and cursor.count <= SORTED and go_together(query, sort):
        behind = cursor if after else None
        rows = (await session.execute(gathered(where, sort, behind, limit + 1))).all()
    elif not are_few:
        rows = await _walk(session, where + ends(query, sort), cursor, limit + 1, valued=valued)
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
    session: AsyncSession, where: list[Condition], cursor: Cursor, limit: int, *, valued: bool
) -> Sequence[Row[Any]]:
    """Read along the order; of what has no value, none of it is ``valued``, the end alone."""
    rows: list[Row[Any]] = []
    for part in list(parts(cursor.sort, cursor))[0 if valued else -1 :]:
        rows += await session.execute(walked(where, part, limit - len(rows)))
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

    def says_more_than(self, number: float) -> bool:
        """Return whether so many would hardly ever give as many hits as there are."""
        expected = number * self.share
        return self.hits > expected + 3 * sqrt(expected) + 3


async def _sample(session: AsyncSession, query: Query, known: Known, rows: int) -> _Sample:
    """Look at about so many rows, whole pages of the table, the same ones each time."""
    looked_at = select(func.count(_SAMPLED.id), _PERCENTAGE).where(
        *condition(query, _SAMPLED, known)
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
) -> tuple[Count | None, bool]:
    """Return how many there are, if that was found out, and whether all are to be fetched.

    A glance at some rows saves counting or fetching thousands for a page of fifty; where it
    leaves a doubt, they are counted if an index alone tells, and else the sample is looked at that
    the estimate needs anyway.
    """
    glance = await _sample(session, query, known, GLANCE)
    if is_counted_by_index(query):
        counted = None if glance.says_more_than(COUNTED) else await _count(session, where)
        return counted or await _estimate(session, query, known, glance), counted is not None
    if known.serves(query) and glance.number < COUNTED / 2:
        return None, True
    sample = await _sample_that_tells(session, query, known, glance)
    return _number(sample, query, known), known.serves(query) and sample.number <= COUNTED


async def _estimate(
    session: AsyncSession, query: Query, known: Known, glance: _Sample | None = None
) -> Count:
    """Return about how many structures in view meet the query, more than were counted.

    Not as the planner estimates it, whose statistics know of everybody's rows: the matches in
    view are counted on a sample.
    """
    glance = glance or await _sample(session, query, known, GLANCE)
    return _number(await _sample_that_tells(session, query, known, glance), query, known)


async def _sample_that_tells(
    session: AsyncSession, query: Query, known: Known, glance: _Sample
) -> _Sample:
    """Return the glance where it says enough, or else a sample of more rows."""
    if glance.says_enough or query.words:
        return glance
    return await _sample(session, query, known, SAMPLE)


def _number(sample: _Sample, query: Query, known: Known) -> Count:
    """Return what a sample says of a number that is more than are counted, as it is shown."""
    digits = 2 if sample.says_enough else 1
    rounded = (
        int(round(sample.number, digits - 1 - int(log10(sample.number)))) if sample.hits else 0
    )
    return Count(max(rounded, COUNTED if known.serves(query) else 1), is_exact=False)


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
