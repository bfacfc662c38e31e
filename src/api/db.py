"""The way into the database: one URL, one engine per process, sessions."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from api import embedded
from api.errors import Conflict, SchemaNotReady
from api.settings import PROJECT_ROOT, settings
from pgsteady import url
from pgsteady.connection import not_connected

Sessions = async_sessionmaker[AsyncSession]
T = TypeVar("T")

TRIES = 8
RETRIED = {"40001", "40P01", "23503"}
"""serialization_failure, deadlock_detected (PostgreSQL, appendix A), and foreign_key_violation: a
material or citation was deleted that a structure was about to refer to."""


@lru_cache(maxsize=1)
def database_url() -> url.DatabaseUrl:
    """Return the URL in force and its source; starts the embedded database where it is that."""
    return url.resolve(PROJECT_ROOT / "alembic.ini", embedded.join)


def code_version() -> str:
    """Return the version of the installed project, ``0+unknown`` where it is not installed."""
    try:
        return version("nano-os")
    except PackageNotFoundError:
        return "0+unknown"


def make_engine(**parameters: str) -> AsyncEngine:
    """Return an engine whose connections name themselves ``nano-os/<version>@<revision>``.

    ``parameters`` are PostgreSQL's, for these connections.
    """
    engine = create_async_engine(
        database_url().asyncpg(),
        pool_size=settings().pool_size,
        pool_pre_ping=True,
        connect_args={"server_settings": parameters},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def name_connection(connection: Any, _record: Any) -> None:
        connection.run_async(_name)

    return engine


async def _name(connection: asyncpg.Connection) -> None:
    revision = "none"
    if await connection.fetchval("SELECT to_regclass('alembic_version')"):
        revision = await connection.fetchval("SELECT max(version_num) FROM alembic_version")
    name = f"nano-os/{code_version()}@{revision}"
    await connection.execute("SELECT set_config('application_name', $1, false)", name)


@asynccontextmanager
async def connect(**parameters: str) -> AsyncIterator[Sessions]:
    """Yield a session factory on a database that answers and has its tables.

    ``parameters`` are PostgreSQL's, for its connections.
    Raises ServerUnreachable, AuthenticationFailed, DatabaseMissing or
    SchemaNotReady, each with the next step.
    """
    engine = make_engine(**parameters)
    try:
        await _require_schema(engine)
        yield async_sessionmaker(engine, expire_on_commit=False)
    finally:
        await engine.dispose()


async def retried(sessions: Sessions, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
    """Do something in one transaction, and again when others stood in its way.

    They did where it raises Conflict, or the database an error of `RETRIED`. After `TRIES` it is
    raised.
    """
    for attempt in range(1, TRIES):
        try:
            async with sessions.begin() as session:
                return await work(session)
        except Conflict:
            pass
        except DBAPIError as error:
            if sqlstate(error) not in RETRIED:
                raise
        await asyncio.sleep(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311 - no secret
    async with sessions.begin() as session:
        return await work(session)


def sqlstate(error: DBAPIError) -> str:
    """Return the code that PostgreSQL gave an error, empty where it gave none."""
    return str(getattr(error.orig, "sqlstate", None) or "")


async def schema_revision(engine: AsyncEngine) -> str | None:
    """Return the revision the database is at; None where no migration ever ran."""
    async with connection(engine) as open_:
        if not await open_.scalar(text("SELECT to_regclass('alembic_version')")):
            return None
        revision: str | None = await open_.scalar(
            text("SELECT max(version_num) FROM alembic_version")
        )
        return revision


async def _require_schema(engine: AsyncEngine) -> None:
    if await schema_revision(engine) is None:
        raise SchemaNotReady(
            f"The database has no tables yet. Run `alembic upgrade head` in {PROJECT_ROOT}."
        )


@asynccontextmanager
async def connection(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Yield a connection; raises ServerUnreachable, AuthenticationFailed or DatabaseMissing."""
    try:
        open_ = await engine.connect()
    except (DBAPIError, OSError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise not_connected(str(cause), database_url()) from error
    try:
        yield open_
    finally:
        await open_.close()
