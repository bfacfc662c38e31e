"""Whether the platform is under maintenance; ``nano-os db maintenance`` switches it."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from pgsteady.maintenance import CURRENT, READABLE, Maintenance


async def current(connection: AsyncConnection | AsyncSession) -> Maintenance | None:
    """Return the maintenance that is on; None if none is, or this role may not know."""
    if not await connection.scalar(text(READABLE)):
        return None
    row = (await connection.execute(text(CURRENT))).one_or_none()
    return Maintenance(*row) if row else None
