"""COPY of rows in PostgreSQL's binary format into a temporary table of the transaction."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from io import BytesIO

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from api.services import copy_format


async def fill(
    session: AsyncSession, table: str, columns: Mapping[str, str], rows: Iterable[bytes]
) -> None:
    """Make the temporary table ``table``, or empty it, and fill it with rows.

    ``columns`` are its names and types, each row its fields as `api.services.copy_format`
    writes them. Raises DBAPIError.
    """
    listed = ", ".join(f"{name} {type_}" for name, type_ in columns.items())
    await session.execute(
        text(f"CREATE TEMPORARY TABLE IF NOT EXISTS {table} ({listed}) ON COMMIT DROP")
    )
    await session.execute(text(f"TRUNCATE {table}"))
    head = struct.pack("!h", len(columns))
    content = BytesIO()
    content.write(copy_format.SIGNATURE)
    for row in rows:
        content.write(head)
        content.write(row)
    content.write(copy_format.TRAILER)
    content.seek(0)
    raw = await (await session.connection()).get_raw_connection()
    connection = raw.driver_connection
    assert isinstance(connection, asyncpg.Connection)  # noqa: S101 - api.db's only driver
    try:
        await connection.copy_to_table(table, source=content, format="binary")
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        lost = connection.is_closed()
        raise DBAPIError(f"COPY {table}", None, error, connection_invalidated=lost) from error
