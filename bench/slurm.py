"""Claim: 10⁴ short jobs run through at most 50 allocations of Slurm.

Jobs are equations of state of copper with effective medium theory, of cells that differ a little:
some milliseconds of calculation each. A worker with the executor `parsl` runs them on a real Slurm
whose nodes are this machine, so the figures are of two cores that do everything at once: database,
worker, Slurm, and the jobs themselves.

allocations
    how many Slurm saw, by squeue, which forgets none here.
rate
    finished jobs per second from the first result to the last.
overhead
    the time of a slot per job, less what the job itself took.

What it does not show: nodes of their own, a network file system, Slurm's own queue.

Run: tests/slurm/cluster.sh --install python bench/slurm.py [--quick]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psycopg2
from ase.build import bulk

from api.db import connect
from api.services import simulations
from api.services.structure_import import Candidate, import_
from api.services.users import local_owner
from nanoos.structures import Structure, analyse

BAR_ALLOCATIONS = 50
SLOTS = 4
CLUSTER = """
folder = "{folder}"
partition = "batch"
max_allocations = 2
cores_per_node = 2
address = "127.0.0.1"
poll_s = 2
"""


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="500 jobs.")
    jobs = 500 if parser.parse_args().quick else 10_000
    if "SLURM_CONF" not in os.environ:
        parser.error("there is no Slurm: tests/slurm/cluster.sh --install python bench/slurm.py")
    with tempfile.TemporaryDirectory(prefix="nano-os-bench-") as name:
        scratch = Path(name)
        scratch.chmod(0o711)
        os.environ["NANO_OS_HOME"] = str(scratch / "home")
        (scratch / "home").mkdir(mode=0o711)
        os.environ.pop("DATABASE_URL", None)
        subprocess.run([program("alembic"), "upgrade", "head"], check=True, capture_output=True)
        began = time.monotonic()
        asyncio.run(queue_up(jobs))
        print(f"queued      {jobs:,} jobs in {time.monotonic() - began:.1f} s")
        before = allocations()
        description = scratch / "cluster.toml"
        description.write_text(CLUSTER.format(folder=scratch / "shared"))
        began = time.monotonic()
        command = ["worker", "--executor", "parsl", "--config", str(description), "--drain"]
        subprocess.run([program("nano-os"), *command], check=True, capture_output=True)
        took_s = time.monotonic() - began
        report(took_s, len(allocations() - before))


async def queue_up(jobs: int) -> None:
    """Queue equations of state of as many different cells."""
    async with connect() as sessions, sessions.begin() as session:
        owner = await local_owner(session)
        ids = []
        for a in np.array_split(np.linspace(3.4, 3.9, jobs), max(1, jobs // 500)):
            batch = [candidate(float(one)) for one in a]
            ids += [row.id for row in await import_(session, batch, owner=owner)]
        await simulations.submit(
            session, "equation_of_state", ids, owner=owner, parameters={"points_per_side": 2}
        )


def candidate(a: float) -> Candidate:
    """Return copper with this lattice parameter, in Å."""
    structure = Structure.from_ase(bulk("Cu", a=a))
    return Candidate(structure=structure, analysis=analyse(structure))


def report(took_s: float, n_allocations: int) -> None:
    """Print what the database and Slurm say."""
    with database() as cursor:
        cursor.execute("""
            SELECT count(*) FILTER (WHERE status = 'succeeded'), count(DISTINCT result.id),
                   avg(wall_time_s),
                   extract(epoch FROM max(finished_at) - min(finished_at))
            FROM simulation_jobs AS job
            LEFT JOIN simulation_results AS result ON result.simulation_job_id = job.id""")
        succeeded, results, job_s, span_s = map(float, cursor.fetchone() or ())
    print(f"finished    {succeeded:,.0f} jobs with {results:,.0f} results in {took_s:.0f} s")
    print(f"allocations {n_allocations} (bar for 10,000 jobs: {BAR_ALLOCATIONS})")
    rate = (succeeded - 1) / span_s
    print(f"rate        {rate:.0f}/s from the first result to the last")
    print(
        f"overhead    {SLOTS / rate * 1000 - job_s * 1000:.0f} ms of a slot per job,"
        f" beside the {job_s * 1000:.0f} ms of the job itself"
    )


def allocations() -> set[str]:
    """Return the numbers of all allocations that Slurm has seen."""
    command = ["squeue", "--noheader", "--states=all", "--format=%i"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@contextmanager
def database() -> Iterator[psycopg2.extensions.cursor]:
    """Give a cursor on the database in force."""
    url = subprocess.run(
        [program("nano-os"), "db", "url", "--psql"], capture_output=True, text=True, check=True
    ).stdout.strip()
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        yield cursor
    connection.close()


def program(name: str) -> str:
    """Return the program of this environment."""
    return str(Path(sys.executable).with_name(name))


if __name__ == "__main__":
    main()
