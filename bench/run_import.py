"""Claim: old results come in at 50 folders/s and more on two cores, within 500 MB of memory.

Three figures, each on an embedded database that is made for the run, and removed:

folders
    `nano-os results import` of 10,000 run folders, from its start to its end: recognised, parsed,
    both structures analysed, steps and numbers stored. The folders are copies of the real runs in
    tests/fixtures/runs, each with lattice and energies altered by a factor of its own, so that no
    two structures and no two runs are the same. Of Quantum ESPRESSO the text alone: altered so, it
    no longer fits its XML.
again
    the same command once more: every run is recognised by the contents of its files.
memory
    the largest resident memory of the command and all its processes together, while it imports the
    folders, and one folder with an OUTCAR of 2 GB.

What it does not show: a slow disk, runs of thousands of steps, and a server on another machine.

Run: python bench/run_import.py [--only FIGURE] [--quick]
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "tests" / "fixtures" / "runs"
FIGURES = ("folders", "memory")  # the first brings "again"
BAR_PER_S, BAR_BYTES = 50, 500 * 1024**2
TAKEN = (
    *(f"espresso/{name}" for name in ("scf", "relax", "vc-relax", "smearing", "unconverged")),
    *(f"vasp/{name}" for name in ("single_point", "relaxed", "magnetic", "unfinished")),
)
DECIMAL = re.compile(rb"(?<![\w.])-?\d+\.\d{5,}(?![\w.])")
"""Numbers of so many decimals are altered: geometry, energies, forces; not settings."""


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", choices=FIGURES)
    parser.add_argument("--quick", action="store_true", help="A twentieth of it.")
    arguments = parser.parse_args()
    share = 20 if arguments.quick else 1
    with tempfile.TemporaryDirectory(prefix="nano-os-bench-") as name:
        scratch = Path(name)
        scratch.chmod(0o711)
        if arguments.only in (None, "folders"):
            folders(scratch, 10_000 // share)
        if arguments.only in (None, "memory"):
            memory(scratch, 2 * 1024**3 // share)


def folders(scratch: Path, number: int) -> None:
    """Print the rates of an import and of its repetition, and its memory."""
    calcs = scratch / "calcs"
    size_bytes = write(calcs, number)
    print(f"folders   {number:,} of {size_bytes / number / 1024:,.0f} kB each")
    with home(scratch) as environment:
        report, took_s, peak_bytes = imported(calcs, environment)
        rate = number / took_s
        print(
            f"folders   {report['imported']:,} runs, {len(report['failed'])} failed,"
            f" in {took_s:.1f} s: {rate:.0f}/s (bar: {BAR_PER_S}),"
            f" peak {peak_bytes / 1024**2:.0f} MB (bar: {BAR_BYTES // 1024**2})"
        )
        report, took_s, _ = imported(calcs, environment)
        print(f"again     {report['existing']:,} recognised: {number / took_s:.0f}/s")
    shutil.rmtree(calcs)


def memory(scratch: Path, size_bytes: int) -> None:
    """Print the memory that one output of gigabytes takes."""
    calcs = scratch / "long" / "relax"
    calcs.mkdir(parents=True)
    content = lzma.decompress((RUNS / "vasp" / "relaxed" / "OUTCAR.xz").read_bytes())
    head, mark, rest = content.partition(b"--- Iteration      1(   1)")
    step = mark + rest[: rest.rfind(b"--- Iteration")]
    with (calcs / "OUTCAR").open("wb") as stream:
        stream.write(head)
        while stream.tell() < size_bytes:
            stream.write(step)
    with home(scratch) as environment:
        report, took_s, peak_bytes = imported(calcs, environment)
    print(
        f"memory    OUTCAR of {size_bytes / 1024**3:.1f} GB in {took_s:.0f} s: peak"
        f" {peak_bytes / 1024**2:.0f} MB (bar: {BAR_BYTES // 1024**2});"
        f" {report['imported']} imported, {report['failed'] or 'none failed'}"
    )
    shutil.rmtree(calcs)


def write(calcs: Path, number: int) -> int:
    """Write run folders, as a group has them: a hundred in a folder; return their size."""
    templates = [dict(files(RUNS / name)) for name in TAKEN]
    chance = random.Random(0)
    size_bytes = 0
    for place in range(number):
        template = templates[place % len(templates)]
        factor = 1 + chance.uniform(-0.02, 0.02)
        for name, content in template.items():
            path = calcs / f"{place // 100:03}" / f"{place:05}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            altered = DECIMAL.sub(lambda found, by=factor: scaled(found[0], by), content)
            size_bytes += path.write_bytes(altered)
    return size_bytes


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a run, unpacked."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.parent.suffix != ".save":
            content = path.read_bytes()
            name = str(path.relative_to(folder))
            yield (
                name.removesuffix(".xz"),
                lzma.decompress(content) if path.suffix == ".xz" else content,
            )


def scaled(number: bytes, factor: float) -> bytes:
    """Return a number times a factor, printed as wide and as precise as it was."""
    decimals = len(number) - number.index(b".") - 1
    return f"{float(number) * factor:{len(number)}.{decimals}f}".encode()[: len(number)]


class home:  # noqa: N801 - a context, used as a function
    """A migrated database of its own, in an environment for commands."""

    def __init__(self, scratch: Path) -> None:
        self._folder = Path(tempfile.mkdtemp(dir=scratch))
        self._folder.chmod(0o711)
        kept = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        self.environment = kept | {"NANO_OS_HOME": str(self._folder)}

    def __enter__(self) -> dict[str, str]:
        command = [Path(sys.executable).with_name("alembic"), "upgrade", "head"]
        subprocess.run(command, cwd=ROOT, env=self.environment, check=True, capture_output=True)
        return self.environment

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def imported(calcs: Path, environment: dict[str, str]) -> tuple[dict[str, Any], float, int]:
    """Import and return the report, the time in s, and the largest memory in bytes."""
    command = [Path(sys.executable).with_name("nano-os"), "results", "import", calcs, "--json"]
    began = time.perf_counter()
    running = psutil.Popen(
        list(map(str, command)), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    peak = Peak(running)
    printed, said = running.communicate()
    took_s = time.perf_counter() - began
    if running.returncode not in (0, 1):
        raise SystemExit(said.decode())
    return json.loads(printed), took_s, peak.bytes


class Peak:
    """The largest resident memory of a process and its Python children; the server's is its own."""

    def __init__(self, process: psutil.Popen) -> None:
        self.bytes = 0
        self._process = process
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while self._process.poll() is None:
            try:
                family = [self._process, *self._process.children(recursive=True)]
                ours = [one for one in family if "python" in one.name()]
                self.bytes = max(self.bytes, sum(one.memory_info().rss for one in ours))
            except psutil.Error:
                pass  # one ended meanwhile
            time.sleep(0.1)


if __name__ == "__main__":
    main()
