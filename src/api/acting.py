"""On whose behalf the database is used: in single-user mode, the local owner's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from api.db import Sessions
    from api.models import User


@asynccontextmanager
async def transaction(sessions: Sessions) -> AsyncIterator[tuple[AsyncSession, User]]:
    """Yield a session that reads as the local owner, and that owner; commit at the end."""
    from api.services import scope, users

    async with sessions.begin() as session:
        owner = await users.local_owner(session)
        scope.read_as(session, owner)
        yield session, owner


@contextmanager
def losses_told() -> Iterator[None]:
    """Raise ServerUnreachable where the connection is lost in the middle."""
    from sqlalchemy.exc import DBAPIError

    from api.db import database_url
    from pgsteady.connection import not_connected

    try:
        yield
    except (DBAPIError, ConnectionError) as error:
        if isinstance(error, DBAPIError) and not error.connection_invalidated:
            raise
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise not_connected(str(cause), database_url()) from error
