"""Figures: the queue by itself, without engines.

A database of its own, on the embedded server with the settings everybody has, is filled with a
million finished and a hundred thousand queued jobs of twenty users. Then, in one run:

- claim: one job at a time by one worker, each in a transaction of its own; the 95th percentile may
  be 10 ms;
- no-op jobs: four processes claim jobs (as many at once as a worker of short jobs does) and store
  a result for each with all bookkeeping: method, provenance, attempt, result, end; 500 a second;
- whole workers: the same by four workers as they are, each with a folder for each job, whose tasks
  end at once;
- plain: four processes on a bare table of ids with SKIP LOCKED, which take as many at once and end
  each by itself, without any bookkeeping;
- peers, each in an environment of its own (what it does and leaves out, its file says): PgQueuer
  (`jobs_pgqueuer.py`), QCFractal (`jobs_qcfractal.py`), AiiDA (`jobs_aiida.py`);
- submission: `simulations.submit` for every structure there is, 5,000 a second.

Where one of ours misses its bar it ends with 1. What it does not show: a server with a disk slower
than its memory, and workers on other machines.

Run: python bench/jobs.py [--home FOLDER] [--quick] [--pgqueuer PYTHON] [--qcfractal PYTHON]
     [--aiida PYTHON]

With --home, the database is kept in that folder, and is not filled again the next time.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import Any

import peers
import psycopg2.extensions
from ase.build import bulk
from filled import filled
from sqlalchemy import text
from together import took_s

from api.db import connect, database_url
from api.services import queue, results, simulations, users, workflows
from api.services.queue import Claim
from api.services.results import Finished, Run
from api.services.structure_import import Candidate, import_
from api.settings import settings
from api.worker.executor import Limits
from api.worker.folder import JobFolder
from api.worker.folders import Folders
from api.worker.loop import Worker
from api.worker.perform import Task
from nanoos.engines import make
from nanoos.engines.emt import Emt
from nanoos.methods import Method
from nanoos.structures import Structure, analyse
from nanoos.workflows import Outcome

WORKFLOW, OWNERS, PROCESSES, AHEAD = "equation_of_state", 20, 4, 32
PEERS = {"pgqueuer": 6_000, "qcfractal": 3_000, "aiida": 400}
"""How many jobs each of them is given."""
CLAIM_BAR_MS, JOBS_BAR, SUBMIT_BAR = 10.0, 500.0, 5_000.0


def main() -> int:
    """Measure, print, and return 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--quick", action="store_true", help="a fiftieth of everything")
    for peer in PEERS:
        parser.add_argument(f"--{peer}", metavar="PYTHON", help=f"of an environment with {peer}")
    options = parser.parse_args()
    share = 50 if options.quick else 1
    finished, queued, structures = 1_000_000 // share, 100_000 // share, 20_000 // share
    what = f"{finished} finished and {queued} queued jobs, {structures} structures"
    with filled(options.home, partial(fill, finished, queued, structures), what):
        asyncio.run(prepare(share))
        passed = [
            report("claim p95", asyncio.run(claim_p95_ms(200)), "ms", CLAIM_BAR_MS, most=True),
            report("no-op jobs", ours := rate(no_op_jobs, 6_000 // share), "jobs/s", JOBS_BAR),
            report("submission", asyncio.run(submission_rate()), "jobs/s", SUBMIT_BAR),
        ]
        report("whole workers", rate(whole_workers, 6_000 // share), "jobs/s")
        report("plain table", rate(plain, 6_000 // share), "rows/s")
        for peer, count in PEERS.items():
            if python := getattr(options, peer):
                beside(peer, python, count // share, ours)
    return 0 if all(passed) else 1


def beside(peer: str, python: str, count: int, ours: float) -> None:
    """Let a peer do as many jobs of its own in the same server, and print both."""
    theirs = peers.beside(python, f"jobs_{peer}.py", count, PROCESSES, AHEAD)
    its = theirs["done"] / theirs["s"]
    print(f"{peer:13} {its:10,.1f} jobs/s, ours {ours / its:.1f} times", flush=True)


def report(
    what: str, found: float, unit: str, bar: float | None = None, *, most: bool = False
) -> bool:
    """Print a figure beside its bar; return whether it is met."""
    met = bar is None or (found <= bar if most else found >= bar)
    limit = "" if bar is None else f"  bar {'≤' if most else '≥'} {bar:,.0f}"
    print(f"{what:13} {found:10,.1f} {unit}{limit}{'' if met else '  MISSED'}", flush=True)
    return met


# The database


def fill(finished: int, queued: int, structures: int, cursor: psycopg2.extensions.cursor) -> None:
    """Make users, structures and jobs; what is derived from a structure is that of copper."""
    asyncio.run(_copper())
    cursor.execute(
        "SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns"
        " WHERE table_name = 'structures' AND is_generated = 'NEVER'"
        " AND column_name NOT IN ('id', 'fingerprint')"
    )
    ((columns,),) = cursor.fetchall()
    cursor.execute(
        f"INSERT INTO structures (id, fingerprint, {columns})"
        f" SELECT gen_random_uuid(), md5(n::text) || md5((-n)::text), {columns}"
        " FROM structures, generate_series(1, %s) AS n",
        [structures],
    )
    cursor.execute(_USERS, [OWNERS])
    for status, count in (("succeeded", finished), ("queued", queued)):
        cursor.execute(_JOBS, {"status": status, "count": count, "owners": OWNERS})
    cursor.execute("CREATE TABLE plain (id bigint PRIMARY KEY, done boolean NOT NULL)")
    for table in ("simulation_jobs", "structures"):
        cursor.execute(f"VACUUM ANALYZE {table}")


async def _copper() -> None:
    copper = Structure.from_ase(bulk("Cu"))
    async with connect() as sessions, sessions.begin() as session:
        owner = await users.local_owner(session)
        await workflows.register(session)
        await import_(session, [Candidate(structure=copper, analysis=analyse(copper))], owner=owner)


async def prepare(share: int) -> None:
    """End what an earlier run left running, and fill the plain table."""
    async with connect() as sessions, sessions.begin() as session:
        await session.execute(text("TRUNCATE plain"))
        await session.execute(
            text("INSERT INTO plain SELECT n, false FROM generate_series(1, :count) AS n"),
            {"count": 20_000 // share},
        )
        await session.execute(text(_TAKE_BACK))


_USERS = """
INSERT INTO users (email, username)
SELECT 'user' || n || '@example.org', 'user' || n FROM generate_series(1, %s) AS n
"""
_JOBS = """
INSERT INTO simulation_jobs (owner_id, structure_id, workflow_template_id, engine, parameters,
                             parameters_sha256, status, submitted_at, due_at, started_at,
                             finished_at, progress, attempt)
SELECT owner.id, copper.id, template.id, 'emt', '{}',
       md5(%(status)s || n) || md5(n::text), %(status)s, at, at,
       CASE WHEN %(status)s = 'succeeded' THEN at END,
       CASE WHEN %(status)s = 'succeeded' THEN at END,
       CASE WHEN %(status)s = 'succeeded' THEN 1 ELSE 0 END,
       CASE WHEN %(status)s = 'succeeded' THEN 1 ELSE 0 END
FROM (SELECT n, now() - interval '30 days' + n * interval '1 second' AS at
      FROM generate_series(1, %(count)s) AS n) AS numbered
JOIN (SELECT id, row_number() OVER (ORDER BY id) AS place FROM users
      WHERE username LIKE 'user%%') AS owner ON owner.place = 1 + n %% %(owners)s
CROSS JOIN (SELECT id FROM structures ORDER BY created_at, id LIMIT 1) AS copper
CROSS JOIN (SELECT id FROM workflow_templates WHERE name = 'equation_of_state'
            ORDER BY version DESC LIMIT 1) AS template
"""
_TAKE_BACK = (
    "UPDATE simulation_jobs SET status = 'queued', lease_until = NULL WHERE status = 'running'"
)


# What is measured


async def claim_p95_ms(times: int) -> float:
    """Return the 95th percentile of a claim of one job, from begin to commit."""
    taken = []
    async with connect(**queue.PLANNED_ONCE) as sessions:
        for _ in range(times):
            began = time.perf_counter()
            async with sessions.begin() as session:
                (mine,) = await _claim(session, 1)
            taken.append((time.perf_counter() - began) * 1e3)
            async with sessions.begin() as session:
                await queue.succeed(session, [mine])
    return quantiles(taken, n=20)[-1]


async def _claim(session: Any, limit: int) -> list[queue.Claim]:
    return await queue.claim(
        session, worker="bench:1", worker_number=1, limit=limit, lease_s=600, engines=["emt"]
    )


def no_op_jobs(count: int) -> None:
    """Claim so many jobs and store a result of each."""
    asyncio.run(_no_op_jobs(count))


async def _no_op_jobs(count: int) -> None:
    method = Emt().method()
    async with connect(**queue.PLANNED_ONCE) as sessions:
        while count > 0:
            async with sessions.begin() as session:
                claims = await _claim(session, min(AHEAD, count))
            done = [Finished(claim, no_op(method)) for claim in claims]
            async with sessions.begin() as session:
                await results.store_all(session, done)
            count -= len(claims)


def no_op(method: Method) -> Run:
    """Return what a task yields that does nothing."""
    now = datetime.now(UTC).isoformat()
    provenance = {"started_at": now, "finished_at": now, "host": "bench"}
    outcome = Outcome({"energy_ev": -1.0}, {}, {"converged": True, "notes": []})
    return Run(outcome, method, provenance, 0.0)


def whole_workers(count: int) -> None:
    """Let a worker, as it is, do so many jobs whose tasks end at once."""
    asyncio.run(_whole_worker(count))


async def _whole_worker(count: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        async with connect(**queue.PLANNED_ONCE) as sessions:
            done = 0

            def heard(event: str, _claim: Claim, _message: str) -> None:
                nonlocal done
                done += event == "succeeded"
                if done == count:
                    worker.stop()

            worker = Worker(
                sessions,
                settings(),
                NoOp(),
                Folders(Path(scratch), keep_failed=False),
                ["emt"],
                listener=heard,
                grace_s=60,
            )
            await worker.run()


class NoOp:
    """An executor whose tasks are done as soon as they begin."""

    slots = 1

    def __init__(self) -> None:
        self._method = Emt().method()

    def submit(self, _task: Task, _folder: JobFolder, _limits: Limits) -> Future[Run]:
        """Return at once what came of it."""
        future: Future[Run] = Future()
        future.set_result(no_op(self._method))
        return future

    def close(self) -> None:
        """End nothing."""


def plain(count: int) -> None:
    """Take and end so many rows of a bare table, in batches as large."""
    import psycopg2

    with psycopg2.connect(database_url().libpq()) as connection, connection.cursor() as cursor:
        while count > 0:
            cursor.execute(_TAKE_PLAIN, [min(AHEAD, count)])
            rows = cursor.fetchall()
            connection.commit()
            for row in rows:
                cursor.execute("DELETE FROM plain WHERE id = %s", row)
                connection.commit()
            count -= len(rows)


_TAKE_PLAIN = """
UPDATE plain SET done = true WHERE id IN (
    SELECT id FROM plain WHERE NOT done ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING id
"""


def rate(work: Callable[[int], None], count: int) -> float:
    """Return how many a second the processes do together, their start left out."""
    each = count // PROCESSES
    return each * PROCESSES / took_s(_after, PROCESSES, work, each)


def _after(ready: Any, work: Callable[[int], None], count: int) -> None:
    ready.wait()
    work(count)


async def submission_rate() -> float:
    """Return how many jobs a second are submitted, for all structures at once."""
    async with connect() as sessions:
        async with sessions.begin() as session:  # what is read once is not counted
            await workflows.register(session)
            make("emt")
        began = time.perf_counter()
        async with sessions.begin() as session:
            owner = await users.local_owner(session)
            done = await simulations.submit(session, WORKFLOW, None, owner=owner, fresh=True)
        return len(done.submitted) / (time.perf_counter() - began)


if __name__ == "__main__":
    sys.exit(main())
