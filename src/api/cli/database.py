"""How a command gets at the database: one event loop, one transaction, one owner."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from api.acting import losses_told, transaction

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from api.db import Sessions
    from api.models import User

T = TypeVar("T")

__all__ = ["in_transaction", "transaction", "with_database"]


def in_transaction(work: Callable[[AsyncSession, User], Awaitable[T]]) -> T:
    """Do ``work`` in one transaction on the database in force, and return what it returns."""

    async def with_sessions(sessions: Sessions) -> T:
        async with transaction(sessions) as (session, owner):
            return await work(session, owner)

    return with_database(with_sessions)


def with_database(work: Callable[[Sessions], Awaitable[T]], **parameters: str) -> T:
    """Do ``work``, which opens its own transactions, on the database in force.

    ``parameters`` are PostgreSQL's, for its connections.
    Raises ServerUnreachable also where the connection is lost in the middle.
    """
    from api.db import connect

    async def run() -> T:
        with losses_told():
            async with connect(**parameters) as sessions:
                return await work(sessions)

    return asyncio.run(run())
