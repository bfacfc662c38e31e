"""Search: the structures in view that meet a query, sorted, page by page or all in a stream.

A page is found by its place in the order (keyset), so the thousandth costs what the first
does, and structures that come in meanwhile shift nothing. The count is exact to a limit;
beyond it is estimated from a sample of the rows, those in view alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from math import log10
from typing import Any, NamedTuple

from sqlalchemy import Row, Select, func, select, tablesample, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased, contains_eager, defer
from sqlalchemy.sql.elements import UnaryExpression
from sqlalchemy.sql.operators import custom_op

from api.models import Structure
from api.schemas.search import BY_ID, Page, Query, Sort, StructureRow
from api.services.criteria import Condition, condition
from api.services.cursor import Cursor

__all__ = ["COUNTED", "Count", "condition", "count", "find", "stream"]

COUNTED = 10_000
"""Structures that are counted one by one; how many more there are is estimated."""
SAMPLE = 10_000
"""Rows that the estimate looks at."""
PATTERN_SORTED = {"reduced_formula", "anonymous_formula", "chemical_system", "protostructure"}
"""Columns whose index is in the order of bytes, whatever the locale (text_pattern_ops)."""
COLUMNS = tuple(getattr(Structure, name) for name in StructureRow.model_fields)


class Count(NamedTuple):
    """How many structures a query finds, and whether they were counted."""

    number: int
    is_exact: bool


async def find(
    session: AsyncSession,
    query: Query,
    *,
    sort: Sort = BY_ID,
    after: str | None = None,
    limit: int = 50,
) -> Page:
    """Return the ``limit`` structures that come after the cursor ``after``, or the first ones.

    Raises WrongUsage for a cursor of another query or order, and for a quantity that results
    do not have.
    """
    await _plan_each(session)
    where = condition(query)
    if after is None:
        found = await count(session, query)
        cursor = Cursor.start(query, sort, found.number, is_exact=found.is_exact)
    else:
        cursor = Cursor.read(after, query, sort)
    rows: list[Row[Any]] = []
    for part in _parts(sort, cursor):
        wanted = limit + 1 - len(rows)
        rows += await session.execute(_selected(where, part, wanted, few=cursor.is_exact))
        if len(rows) > limit:
            break
    return Page(
        rows=[StructureRow.model_validate(row._mapping) for row in rows[:limit]],
        after=str(cursor.behind(rows[limit - 1])) if len(rows) > limit else None,
        count=cursor.count,
        is_exact=cursor.is_exact,
    )


async def count(session: AsyncSession, query: Query) -> Count:
    """Return how many structures in view meet the query: exact up to `COUNTED`, then estimated.

    The estimate is not the planner's, whose statistics know of everybody's rows: it counts
    the matches in view on a sample of the table's pages, the same each time.
    """
    await _plan_each(session)
    some = select(Structure.id).where(*condition(query)).limit(COUNTED + 1).subquery()
    counted = await session.scalar(select(func.count()).select_from(some)) or 0
    if counted <= COUNTED:
        return Count(counted, is_exact=True)
    rows = await session.scalar(text(_ROWS)) or 0
    share = min(1.0, SAMPLE / max(rows, 1))
    sampled = aliased(Structure, tablesample(Structure, func.system(100 * share), seed=_SEED))
    hits = await session.scalar(select(func.count(sampled.id)).where(*condition(query, sampled)))
    return Count(max(_rounded((hits or 0) / share), COUNTED), is_exact=False)


_SEED = text("0")
_ROWS = "SELECT reltuples FROM pg_class WHERE oid = 'structures'::regclass"


def _rounded(number: float) -> int:
    """Return a number to the two digits that an estimate has."""
    return int(round(number, 1 - int(log10(number)))) if number >= 1 else 0


async def stream(
    session: AsyncSession,
    query: Query,
    *,
    sort: Sort = BY_ID,
    batch: int = 500,
) -> AsyncIterator[list[Structure]]:
    """Yield all that the query finds in full, with their materials, ``batch`` at a time.

    The ids come from one statement on the server, so each structure comes once; one that is
    deleted meanwhile is left out. Memory holds one batch.
    """
    await _plan_each(session)
    ids = select(Structure.id).where(*condition(query)).order_by(*_order(sort, Structure))
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
        session.expunge_all()


async def _plan_each(session: AsyncSession) -> None:
    """Have each statement of this transaction planned for its own values.

    The plan for any values, which PostgreSQL takes from the sixth time on, is right for none.
    """
    await session.execute(text("SELECT set_config('plan_cache_mode', 'force_custom_plan', true)"))


class _Part(NamedTuple):
    """A part of the order that one range of an index holds: conditions, and its order."""

    where: list[Condition]
    sort: Sort


def _parts(sort: Sort, cursor: Cursor) -> Iterator[_Part]:
    """Yield what follows the cursor: its equals, what is beyond them, what has no value."""
    column = getattr(Structure, sort.column)
    by_id = Sort("id", sort.descending)
    behind = [] if cursor.id is None else [_beyond(Structure.id, cursor.id, sort.descending)]
    if sort.column == "id":
        yield _Part(behind, by_id)
        return
    if cursor.value is not None:
        yield _Part([column == cursor.value, *behind], by_id)
        yield _Part([_beyond(column, cursor.value, sort.descending)], sort)
        behind = []
    elif cursor.id is None:
        yield _Part([column.is_not(None)], sort)
    if Structure.__table__.c[sort.column].nullable:
        yield _Part([column.is_(None), *behind], by_id)


def _beyond(column: Any, value: Any, descending: bool) -> Condition:
    sign = "<" if descending else ">"
    if column.key in PATTERN_SORTED:
        sign = f"~{sign}~"
    return column.op(sign, is_comparison=True)(value)  # type: ignore[no-any-return]


def _order(sort: Sort, of: Any) -> list[Any]:
    """Return the order of rows of ``of``: by the column, no value last, equals by id."""
    column, id_ = getattr(of, sort.column), of.id
    if sort.column in PATTERN_SORTED:
        using: Any = custom_op("USING ~>~" if sort.descending else "USING ~<~")
        column = UnaryExpression(column, modifier=using)
    else:
        column = column.desc() if sort.descending else column.asc()
    by_id = id_.desc() if sort.descending else id_.asc()
    return [by_id] if sort.column == "id" else [column.nulls_last(), by_id]


def _selected(where: list[Condition], part: _Part, limit: int, *, few: bool) -> Select[Any]:
    """Return the statement of a part of a page.

    Where few rows match they are all fetched, by the index that finds them, and then sorted:
    the planner would rather walk the order and hope to meet them soon, which it judges by
    their number alone. OFFSET 0 keeps it from looking through.
    """
    found = select(*COLUMNS).where(*where, *part.where)
    if not few:
        return found.order_by(*_order(part.sort, Structure)).limit(limit)
    all_ = found.offset(0).subquery()
    return select(all_).order_by(*_order(part.sort, all_.c)).limit(limit)
