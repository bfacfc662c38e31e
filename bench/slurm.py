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
import time

from short_jobs import done, home, program, queue_up

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
    with home() as scratch:
        began = time.monotonic()
        asyncio.run(queue_up(jobs))
        print(f"queued      {jobs:,} jobs in {time.monotonic() - began:.1f} s", flush=True)
        before = allocations()
        description = scratch / "cluster.toml"
        description.write_text(CLUSTER.format(folder=scratch / "shared"))
        began = time.monotonic()
        command = ["worker", "--executor", "parsl", "--config", str(description), "--drain"]
        subprocess.run([program("nano-os"), *command], check=True, capture_output=True)
        took_s = time.monotonic() - began
        report(took_s, len(allocations() - before))


def report(took_s: float, n_allocations: int) -> None:
    """Print what the database and Slurm say."""
    found = done()
    print(f"finished    {found.succeeded:,} jobs with {found.results:,} results in {took_s:.0f} s")
    print(f"allocations {n_allocations} (bar for 10,000 jobs: {BAR_ALLOCATIONS})")
    print(f"rate        {found.rate:.0f}/s from the first result to the last")
    print(
        f"overhead    {found.overhead_ms(SLOTS):.0f} ms of a slot per job,"
        f" beside the {found.job_s * 1000:.0f} ms of the job itself"
    )


def allocations() -> set[str]:
    """Return the numbers of all allocations that Slurm has seen."""
    command = ["squeue", "--noheader", "--states=all", "--format=%i"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


if __name__ == "__main__":
    main()
