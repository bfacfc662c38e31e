"""What anyone may read, page by page: public structures, and the publications they come from.

Whoever reads here has no account. That nothing else is seen is `api.services.scope`'s doing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, UnaryExpression, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from api.db import connection
from api.errors import QueryTooSlow
from api.models import Citation, Structure
from api.services import scope

COUNTED_EXACTLY = 10_000
"""Of more than that many, the planner's estimate is told."""

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
            if getattr(error.orig, "sqlstate", None) != _CANCELLED:
                raise
            raise QueryTooSlow(
                f"The query was stopped after {timeout_s:g} s. Ask for less: add a condition on"
                " elements, nelements or a formula, or leave out the sort."
            ) from error


def _rows(source: Source, columns: Sequence[Any]) -> Select[Any]:
    found = select(*columns).select_from(source)
    # PostgreSQL leaves the join out where nothing asks for the material.
    return found.outerjoin(Structure.material) if source is Structure else found


async def page(
    session: AsyncSession,
    source: Source,
    columns: Sequence[ColumnElement[Any]],
    conditions: Sequence[ColumnElement[bool]],
    order: Sequence[UnaryExpression[Any]],
    *,
    limit: int,
    offset: int = 0,
) -> Sequence[Row[Any]]:
    """Return the columns of the rows that meet all conditions, in that order."""
    rows = _rows(source, columns).where(*conditions).order_by(*order).limit(limit).offset(offset)
    found: Sequence[Row[Any]] = (await session.execute(rows)).all()
    return found


async def count(
    session: AsyncSession, source: Source, conditions: Sequence[ColumnElement[bool]]
) -> int | None:
    """Return how many rows meet all conditions; None where more than ``COUNTED_EXACTLY`` do."""
    some = _rows(source, [source.id]).where(*conditions).limit(COUNTED_EXACTLY + 1).subquery()
    number = await session.scalar(select(func.count()).select_from(some)) or 0
    return number if number <= COUNTED_EXACTLY else None


async def total(session: AsyncSession, source: Source) -> int:
    """Return how many rows there are in all."""
    return await session.scalar(select(func.count(source.id))) or 0
