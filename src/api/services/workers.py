"""Workers: which there are, and which of them live."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, func, literal_column, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from api.models import Worker
from api.services.queue import RETRY_AFTER_AT_MOST_S, WORKER_LOCK_CLASS


async def arrive(
    session: AsyncSession, number: int, *, name: str, engines: Sequence[str], slots: int
) -> None:
    """Note that a worker is there, and whose jobs it claims; it holds its lock by then.

    Jobs that would be tried again later than any may wait are due now: since their last try, the
    server's clock was set back.
    """
    known = {"name": name, "engines": list(engines), "slots": slots}
    await session.execute(
        insert(Worker)
        .values(number=number, **known)
        .on_conflict_do_update(index_elements=["number"], set_=known | {"started_at": func.now()})
    )
    await session.execute(_DUE_AFTER_ALL, {"at_most_s": RETRY_AFTER_AT_MOST_S})


async def leave(session: AsyncSession, number: int) -> None:
    """Forget a worker; those that die are forgotten by `queue.recover`."""
    await session.execute(delete(Worker).where(Worker.number == number))


async def alive(session: AsyncSession) -> list[Worker]:
    """Return the workers that live, the eldest first."""
    holders = text("""
        SELECT CAST(objid AS bigint) AS number FROM pg_locks
        WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid = :lock_class
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    """).bindparams(lock_class=WORKER_LOCK_CLASS)
    numbers = holders.columns(literal_column("number")).subquery()
    rows = await session.scalars(
        select(Worker)
        .where(Worker.number.in_(select(numbers.c.number)))
        .order_by(Worker.started_at, Worker.number)
    )
    return list(rows)


# Looked at by those that arrive, not at each claim, which would read all that are to begin later.
_DUE_AFTER_ALL = text("""
UPDATE simulation_jobs SET not_before = now()
WHERE status = 'waiting' AND failures > 0 AND not_before > now() + make_interval(secs => :at_most_s)
""")
