"""What anyone may read, page by page: public structures, and the publications they come from.

Whoever reads here has no account. That nothing else is seen is `api.services.scope`'s doing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from sqlalchemy import ColumnElement, Select, UnaryExpression, func, select, text, true
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.sql.visitors import iterate

from api.db import connection, sqlstate
from api.errors import QueryTooSlow
from api.models import Citation, Material, Structure
from api.services import scope

COUNTED_EXACTLY = 3_000
"""Of more than that many it is not told how many there are: all that are counted are fetched."""

Source = type[Structure] | type[Citation]

_CANCELLED = "57014"  # SQLSTATE query_canceled

_LIMITS = text(
    "SELECT set_config('transaction_read_only', 'on', true),"
    " set_config('statement_timeout', :milliseconds, true),"
    " set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true)"
)
"""Every filter is planned for its own values; none is worth compiling."""


@asynccontextmanager
async def reading(engine: AsyncEngine, *, timeout_s: float) -> AsyncIterator[AsyncSession]:
    """Yield a session that reads what is public and changes nothing.

    Raises QueryTooSlow when one statement takes longer than ``timeout_s``.
    """
    async with connection(engine) as open_, AsyncSession(open_) as session:
        scope.read_as_anyone(session)
        await session.execute(_LIMITS, {"milliseconds": str(round(1000 * timeout_s))})
        try:
            yield session
        except DBAPIError as error:
            if sqlstate(error) != _CANCELLED:
                raise
            raise QueryTooSlow(
                f"The query was stopped after {timeout_s:g} s. Ask for less: add a condition on"
                " elements, nelements or a formula, or leave out the sort."
            ) from error


def _rows(source: Source, columns: Sequence[Any], *conditions: Any) -> Select[Any]:
    """Return a SELECT that joins the material where it is asked for.

    PostgreSQL leaves out a join that nothing asks for, but then reads no index alone.
    """
    rows = select(*columns).select_from(source).where(*conditions)
    parts = (part for one in (*columns, *conditions) for part in iterate(one))
    is_asked_for = any(getattr(part, "table", None) is Material.__table__ for part in parts)
    return rows.outerjoin(Structure.material) if is_asked_for else rows


class Order(Protocol):
    """How entries are sorted, and where a page begins.

    Both are said of the columns that are sorted by, whatever these are selected from; the last
    of them is the identifier.
    """

    @property
    def columns(self) -> list[ColumnElement[Any]]:
        """What is sorted by, each with a label."""

    def sql(self, columns: Sequence[Any]) -> list[UnaryExpression[Any]]:
        """Return what SQL orders by."""

    def behind(self, columns: Sequence[Any]) -> ColumnElement[bool]:
        """Return what holds of the entries from the page's beginning on."""


class Found(NamedTuple):
    """The keys of a page's entries, and how many entries match.

    ``number`` is None where that is more than ``COUNTED_EXACTLY``.
    """

    keys: list[tuple[Any, ...]]
    number: int | None


async def find(
    session: AsyncSession,
    source: Source,
    condition: ColumnElement[bool],
    order: Order,
    *,
    limit: int,
    offset: int = 0,
) -> Found:
    """Return the keys of a page of what meets the condition.

    What few meet is fetched whole, by whichever index finds it, and then sorted. Only where many
    do, the entries are walked in their order: the planner would do that too readily, in the
    hope to meet soon what may not be there.
    """
    matching = _rows(source, order.columns, condition).limit(COUNTED_EXACTLY + 1).cte()
    number = select(func.count().label("number")).select_from(matching).subquery()
    keys = list(matching.c)
    page = (select(*keys).where(order.behind(keys)).order_by(*order.sql(keys)).limit(limit)).offset(
        offset
    )
    part = page.subquery()
    statement = (
        select(number.c.number, *part.c)
        .select_from(number.outerjoin(part, true()))
        .order_by(*order.sql(list(part.c)))
    )
    rows = (await session.execute(statement)).all()
    if rows[0].number > COUNTED_EXACTLY:
        return Found(
            await walk(session, source, condition, order, limit=limit, offset=offset), None
        )
    return Found([tuple(row[1:]) for row in rows if row[-1] is not None], rows[0].number)


async def walk(
    session: AsyncSession,
    source: Source,
    condition: ColumnElement[bool],
    order: Order,
    *,
    limit: int,
    offset: int = 0,
) -> list[tuple[Any, ...]]:
    """Return the keys of a page of what meets the condition, which is expected to be met often."""
    columns = order.columns
    bare = [column.element for column in columns]
    rows = _rows(source, columns, condition, order.behind(bare)).order_by(*order.sql(bare))
    found = await session.execute(rows.limit(limit).offset(offset))
    return [tuple(row) for row in found]


async def read(
    session: AsyncSession, source: Source, columns: Sequence[Any], ids: Sequence[UUID]
) -> list[dict[str, Any]]:
    """Return the columns of the rows of these identifiers, in their order, by their labels.

    One of the columns has the label ``id``; what is not there, or not public, is left out.
    """
    found = await session.execute(_rows(source, columns, source.id.in_(ids)))
    by_id = {row.id: row._asdict() for row in found}
    return [by_id[id_] for id_ in ids if id_ in by_id]


async def total(session: AsyncSession, source: Source) -> int:
    """Return how many rows there are in all."""
    return await session.scalar(select(func.count(source.id))) or 0
