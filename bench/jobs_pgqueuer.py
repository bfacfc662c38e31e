"""PgQueuer's queue: jobs that do nothing, claimed and ended by several processes.

Runs in an environment of its own; prints one JSON document for ``bench/jobs.py``. Each process
drains with the batch that our workers take. What is kept of a job is a line in its log of states:
no result, no method, no provenance.

Run: python bench/jobs_pgqueuer.py URL COUNT PROCESSES BATCH (libpq's variables name the server)
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import asyncpg
from pgqueuer import AsyncpgDriver, Job, Queries, QueueManager
from pgqueuer.types import QueueExecutionMode
from together import took_s


async def prepare(count: int) -> None:
    """Make the tables and queue the jobs."""
    queries = Queries(AsyncpgDriver(await asyncpg.connect()))
    await queries.install()
    await queries.enqueue(["nothing"] * count, [None] * count, [0] * count)


async def drain(batch: int) -> None:
    """Do jobs until none is left."""
    manager = QueueManager(Queries(AsyncpgDriver(await asyncpg.connect())))

    @manager.entrypoint("nothing")
    async def nothing(job: Job) -> None:
        pass

    await manager.run(batch_size=batch, mode=QueueExecutionMode.drain)


def work(ready: Any, batch: int) -> None:
    """Wait for the others, and drain."""
    ready.wait()
    asyncio.run(drain(batch))


def main(count: int, processes: int, batch: int) -> None:
    """Print how many jobs were done, and how long it took."""
    asyncio.run(prepare(count))
    print(json.dumps({"done": count, "s": took_s(work, processes, batch)}))


if __name__ == "__main__":
    main(*map(int, sys.argv[2:5]))
