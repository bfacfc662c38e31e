"""PgQueuer's queue: jobs that do nothing, claimed and ended by several processes.

Runs in an environment of its own; prints one JSON document for ``bench/jobs.py``. Each process
drains with the batch that our workers take. What is kept of a job is a line in its log of states:
no result, no method, no provenance.

Run: python bench/jobs_pgqueuer.py URL COUNT PROCESSES BATCH (libpq's variables name the server)
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import sys
import time
from typing import Any

import asyncpg
from pgqueuer import AsyncpgDriver, Job, Queries, QueueManager
from pgqueuer.types import QueueExecutionMode


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
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(processes + 1)
    children = [context.Process(target=work, args=(ready, batch)) for _ in range(processes)]
    for child in children:
        child.start()
    ready.wait()
    began = time.perf_counter()
    for child in children:
        child.join()
    took_s = time.perf_counter() - began
    if any(child.exitcode for child in children):
        raise SystemExit("A process failed.")
    print(json.dumps({"done": count, "s": took_s}))


if __name__ == "__main__":
    main(*map(int, sys.argv[2:5]))
