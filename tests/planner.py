"""Plans of searches: what the statements of a search would read, and by which index."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import NullPool, event, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from api.models import User
from api.services import scope
from pgsteady.url import parse
from population import VIEWER


class Planner:
    """Runs searches as the viewer and tells what plans their statements had."""

    def __init__(self, url: str) -> None:
        self.runner = asyncio.Runner()
        self.engine = create_async_engine(parse(url, "the test").asyncpg(), poolclass=NullPool)

    def __enter__(self) -> Planner:
        return self

    def __exit__(self, *_: object) -> None:
        self.runner.run(self.engine.dispose())
        self.runner.close()

    def plans(self, work: Callable[[AsyncSession], Any]) -> list[dict[str, Any]]:
        """Do ``work`` and return the plans of all it asked of `structures`."""
        return self.runner.run(self._plans(work))

    def run(self, work: Callable[[AsyncSession], Any]) -> Any:
        """Do ``work`` in a session of the viewer."""
        return self.runner.run(self._work(work))

    async def _plans(self, work: Callable[[AsyncSession], Any]) -> list[dict[str, Any]]:
        asked: list[tuple[str, Any]] = []

        def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            asked.append((statement, parameters))

        async def explained(session: AsyncSession) -> list[dict[str, Any]]:
            event.listen(self.engine.sync_engine, "before_cursor_execute", note)
            await work(session)
            event.remove(self.engine.sync_engine, "before_cursor_execute", note)
            connection = await session.connection()
            found = []
            for statement, parameters in asked:
                if "FROM structures" in statement:
                    explain = f"EXPLAIN (FORMAT JSON) {statement}"
                    answer = await connection.exec_driver_sql(explain, parameters)
                    found.append(answer.scalar_one()[0]["Plan"])
            return found

        return await self._work(explained)

    async def _work(self, do: Callable[[AsyncSession], Any]) -> Any:
        async with AsyncSession(self.engine) as session:
            viewer = (await session.scalars(select(User).where(User.username == VIEWER))).one()
            scope.read_as(session, viewer)
            return await do(session)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


def reads_all(plan: dict[str, Any]) -> list[str]:
    """Return the nodes that read the whole table, or an index of all rows from end to end."""
    return [
        node["Node Type"]
        for node in nodes(plan)
        if node.get("Relation Name") == "structures"
        and node.get("Index Name") not in OF_FEW
        and node["Node Type"] not in {"Bitmap Heap Scan", "Sample Scan"}
        and "Index Cond" not in node
    ]


OF_FEW = {"ix_structures_disordered", "ix_structures_by_number_of_periodic_dimensions"}
"""Indexes of nothing but rows that are rare."""
