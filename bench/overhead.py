"""Claim: what a job costs beside its own calculation is small.

A worker with one slot, as it is, drains short jobs of copper: from the first result to the last,
the time of the slot per job less what the job itself took in its process. Under 50 ms with EMT,
which runs within the worker's own processes, and under 5 s with a program of its own (LAMMPS).

Where a bar is missed it ends with 1. What it does not show: engines that are slow to load, which a
worker does once; disks slower than this one.

Run: python bench/overhead.py [--jobs 200]
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys

from short_jobs import done, home, program, queue_up

BARS_MS = {"emt": 50.0, "lammps": 5000.0}


def main() -> int:
    """Measure, print, and return 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    jobs = parser.parse_args().jobs
    missed = 0
    with home():
        for engine, bar_ms in BARS_MS.items():
            asyncio.run(queue_up(jobs, engine, "single_point"))
            command = ["worker", "--slots", "1", "--engines", engine, "--drain"]
            subprocess.run([program("nano-os"), *command], check=True, capture_output=True)
            found = done(engine)
            overhead_ms = found.overhead_ms(slots=1)
            missed += overhead_ms > bar_ms
            print(
                f"{engine:8} {found.succeeded} jobs, {found.rate:.1f}/s: {overhead_ms:.0f} ms a job"
                f" beside its own {found.job_s * 1e3:.0f} ms"
                f"  bar < {bar_ms:,.0f} ms{'  MISSED' if overhead_ms > bar_ms else ''}",
                flush=True,
            )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
