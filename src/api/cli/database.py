"""How a command gets at the database: one event loop, one transaction, one owner."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from api.db import Sessions
    from api.models import User

T = TypeVar("T")


@asynccontextmanager
async def transaction(sessions: Sessions) -> AsyncIterator[tuple[AsyncSession, User]]:
    """Yield a session that reads as the local owner, and that owner; commit at the end."""
    from api.services import scope, users

    async with sessions.begin() as session:
        owner = await users.local_owner(session)
        scope.read_as(session, owner)
        yield session, owner


def in_transaction(work: Callable[[AsyncSession, User], Awaitable[T]]) -> T:
    """Do ``work`` in one transaction on the database in force, and return what it returns."""

    async def with_sessions(sessions: Sessions) -> T:
        async with transaction(sessions) as (session, owner):
            return await work(session, owner)

    return with_database(with_sessions)


def with_database(work: Callable[[Sessions], Awaitable[T]]) -> T:
    """Do ``work``, which opens its own transactions, on the database in force.

    Raises ServerUnreachable also where the connection is lost in the middle.
    """
    from sqlalchemy.exc import DBAPIError

    from api.db import connect, database_url
    from pgsteady.connection import not_connected

    async def run() -> T:
        try:
            async with connect() as sessions:
                return await work(sessions)
        except (DBAPIError, ConnectionError) as error:
            if isinstance(error, DBAPIError) and not error.connection_invalidated:
                raise
            cause = error.orig if isinstance(error, DBAPIError) else error
            raise not_connected(str(cause), database_url()) from error

    return asyncio.run(run())
