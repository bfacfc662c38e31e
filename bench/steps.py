"""Claim: files read a step at a time, a few dozen together, take less than one after the other.

Reads and analyses the same CIFs both ways in turn, in one process, as a process of the pool does,
and prints processor time per structure and the ratio. The best of all rounds counts on each side:
other work on the machine only ever adds.

What it does not show: what the database and the command's own process take.

Run: OPENBLAS_NUM_THREADS=1 python bench/steps.py CORPUS [--files N] [--rounds N]
"""

from __future__ import annotations

import argparse
import gc
import random
import time
from collections.abc import Callable
from pathlib import Path

from api.services.structure_rows import Row, read_rows
from nanoos.errors import NanoError
from nanoos.parsers import Source, find
from nanoos.processes.pool import ITEMS_IN_JOB
from nanoos.steps import Task, together


class Reading(Task):
    """Reads one file, and counts its structures."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source = source
        self.n_structures = 0

    def run(self) -> None:
        """Read it; what cannot be read counts for nothing."""
        try:
            found = list(read_rows(self._source))
        except NanoError:
            return
        self.n_structures = sum(isinstance(one, Row) for one in found)


def in_turn(readings: list[Reading]) -> None:
    """Do each to its end."""
    for reading in readings:
        reading.alone = True
        together([reading])


def by_steps(readings: list[Reading]) -> None:
    """Do them as a process of the pool does."""
    for first in range(0, len(readings), ITEMS_IN_JOB):
        together(readings[first : first + ITEMS_IN_JOB])


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path, help="folder of CIFs")
    parser.add_argument("--files", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    files = sorted(chosen.corpus.glob("*.cif"))
    sample = random.Random(0).sample(files, min(chosen.files, len(files)))
    gc.freeze()
    gc.set_threshold(50_000)  # as in the pool
    measured(in_turn, sample[:50])  # to load all that is loaded late
    ways = {"one after the other": in_turn, "a step at a time": by_steps}
    times_ms: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(chosen.rounds):
        for name, way in ways.items():
            times_ms[name].append(measured(way, sample))
    best = {name: min(times) for name, times in times_ms.items()}
    for name, best_ms in best.items():
        print(f"{name}: {best_ms:.2f} ms per structure")
    alone, steps = best.values()
    print(f"ratio {steps / alone:.2f}")


def measured(way: Callable[[list[Reading]], None], files: list[Path]) -> float:
    """Return the processor time for each structure in ms."""
    sources = [source for source in find(files) if isinstance(source, Source)]
    readings = [Reading(source) for source in sources]
    began = time.process_time()
    way(readings)
    took_s = time.process_time() - began
    return 1e3 * took_s / sum(reading.n_structures for reading in readings)


if __name__ == "__main__":
    main()
