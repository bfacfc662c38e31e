"""Claim: import is as fast as the cores read, stays so at a million rows, and needs little memory.

Four figures, each on an embedded database that is made for the run, and removed:

corpus
    `nano-os structures import` of a folder of CIFs, from its start to its end: parsed,
    fingerprinted, symmetry at 0.01 and 0.1 Å, stored. Beside it `bench/import_peer.py`, what a
    careful user does today, on a sample of the same files and in the same server.
analysed
    structures analysed before are made rows, and stored as an import stores them that many
    processes read for: by four sessions at once, each other materials, 1,000 a transaction.
    Beside it `bench/import_qcfractal.py`, what QCFractal's own add does in the same server.
growth
    the same up to a million rows: the rate at the end over that at ten thousand.
memory
    the greatest sum of resident memory of the command and its processes (the server's apart)
    while it imports a trajectory of 2 GB, and one tar archive of many files.

What it does not show: a server on another machine, and a disk slower than this one's. The peer
uses one core, as a script does, and stores no positions that could be searched.

The corpus is the American Mineralogist database, as CIFs that `bench/corpus.py` writes. The
peers have environments of their own, which are not the project's:

    python -m venv PEER && PEER/bin/pip install pymatgen sqlalchemy psycopg2-binary
    python -m venv QCF && QCF/bin/pip install qcfractal qcportal

Run: python bench/import.py CORPUS [--peer PEER/bin/python] [--qcfractal QCF/bin/python]
     [--only FIGURE] [--quick]
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import peers
import psutil
import synthetic
from alembic import command
from alembic.config import Config

from api.cli.database import transaction
from api.db import Sessions, connect, database_url, retried
from api.intake.batches import Waiting
from api.intake.structures import SESSIONS
from api.services.structure_import import Candidate, Found, Terms, store_
from api.services.structure_rows import row
from nanoos.processes import at_once

ROOT = Path(__file__).parents[1]
FIGURES = ("corpus", "analysed", "growth", "memory")
WARM_UP = 1_000
ANSWER = 16
"""Rows that are made between two looks at what is stored."""
PEER_SAMPLE = 300
HERE = "NANO_OS_BENCH"
"""Set where the figure is measured."""


def main() -> None:
    """Print the figures, each from a process of its own, with a database of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path, help="folder of CIFs")
    parser.add_argument("--peer", help="Python of an environment with pymatgen")
    parser.add_argument("--qcfractal", help="Python of an environment with QCFractal")
    parser.add_argument("--only", choices=FIGURES, action="append")
    parser.add_argument("--quick", action="store_true", help="a tenth or a hundredth of everything")
    chosen = parser.parse_args()
    if HERE in os.environ:
        command.upgrade(Config(ROOT / "alembic.ini"), "head")
        measure(chosen, 100 if chosen.quick else 1)
        return
    for figure in chosen.only or FIGURES:
        home = Path(tempfile.mkdtemp(prefix="nano-os-bench-"))
        home.chmod(0o711)  # as root, the server runs as another user, who has to pass
        place = {"NANO_OS_HOME": str(home), HERE: "1"}
        environment = {k: v for k, v in os.environ.items() if k != "DATABASE_URL"} | place
        others = [word for word in sys.argv[1:] if word not in {"--only", *FIGURES}]
        try:
            subprocess.run(
                [sys.executable, __file__, *others, "--only", figure], env=environment, check=True
            )
        finally:
            shutil.rmtree(home, ignore_errors=True)


def measure(chosen: argparse.Namespace, scale: int) -> None:
    """Print one figure."""
    (figure,) = chosen.only
    if figure == "corpus":
        corpus(chosen.corpus, chosen.peer, scale)
    elif figure == "analysed":
        rate = asyncio.run(analysed(50_000 // min(scale, 10)))
        if chosen.qcfractal:
            beside_qcfractal(chosen.qcfractal, 5_000 // min(scale, 10), rate)
    elif figure == "growth":
        asyncio.run(growth(1_000_000 // min(scale, 25)))
    else:
        memory(scale)


def corpus(folder: Path, peer: str | None, scale: int) -> None:
    """Import the folder by the command, and a sample of it the peer's way."""
    files = sorted(folder.glob("*.cif"))
    sample = random.Random(0).sample(files, len(files) // min(scale, 10))
    with tempfile.TemporaryDirectory() as part:
        if scale > 1:
            for file in sample:
                shutil.copy(file, part)
            folder = Path(part)
        began = time.perf_counter()
        report = imported(folder)
        took_s = time.perf_counter() - began
    n_read = report["imported"] + report["existing"]
    ours = n_read / took_s
    print(
        f"corpus    {n_read:,} structures ({report['imported']:,} different,"
        f" {len(report['failed']):,} refused) in {took_s:.1f} s: {ours:,.0f}/s"
    )
    if peer is None:
        return
    url = database_url().url.set(drivername="postgresql+psycopg2")
    run = subprocess.run(
        [
            peer,
            str(Path(__file__).with_name("import_peer.py")),
            url.render_as_string(hide_password=False),
            *map(str, sample[:PEER_SAMPLE]),
        ],
        stdout=subprocess.PIPE,
        check=True,
    )
    theirs = json.loads(run.stdout)
    rate = theirs["stored"] / theirs["s"]
    print(
        f"          pymatgen and ORM, {theirs['stored']} structures: {rate:,.1f}/s,"
        f" ours {ours / rate:.1f} times"
    )


def imported(*arguments: str | Path) -> dict:
    """Run the command and return its report."""
    words = [sys.executable, "-m", "api.cli", "structures", "import", *map(str, arguments)]
    run = subprocess.run([*words, "--json"], stdout=subprocess.PIPE, check=False)
    return json.loads(run.stdout)


async def analysed(count: int) -> float:
    """Store structures that are analysed already, and return how many a second."""
    async with connect() as sessions:
        await stored(sessions, list(synthetic.candidates(WARM_UP, seed=0)))
        rate = count / await stored(sessions, list(synthetic.candidates(count, seed=1)))
        print(f"analysed  {count:,} structures by {SESSIONS} sessions: {rate:,.0f}/s")
        took_s = dict.fromkeys((1, SESSIONS), 0.0)
        for turn in range(6):  # by turns: tables grow, and a machine is not always as fast
            found = list(synthetic.candidates(count // 10, seed=2 + turn))
            n_sessions = (1, SESSIONS)[turn % 2]
            took_s[n_sessions] += await stored(sessions, found, n_sessions)
    alone, together = (3 * (count // 10) / s for s in took_s.values())
    print(
        f"          then {alone:,.0f}/s by one, {together:,.0f}/s by {SESSIONS}:"
        f" {together / alone:.2f} times"
    )
    return rate


def beside_qcfractal(python: str, count: int, ours: float) -> None:
    """Let QCFractal store molecules in a database of its own, in the same server."""
    theirs = peers.beside(python, "import_qcfractal.py", count)
    rate = theirs["stored"] / theirs["s"]
    print(f"          QCFractal, {count:,} molecules: {rate:,.0f}/s, ours {ours / rate:.1f} times")


async def stored(sessions: Sessions, found: list[Candidate], n_sessions: int = SESSIONS) -> float:
    """Store candidates as an import does and return how long it took, in seconds."""
    async with transaction(sessions) as (_, owner):
        terms = Terms(owner.id)
    waiting = Waiting[Found](n_sessions)

    async def encode() -> None:
        for first in range(0, len(found), ANSWER):
            for candidate in found[first : first + ANSWER]:
                one = Found(row(candidate))
                waiting.add(one, len(one.row.fields), one.row.material)
            await asyncio.sleep(0)  # let others run
            await waiting.room()
        waiting.end()

    async def store(rows: list[Found]) -> None:
        await retried(sessions, lambda session: store_(session, rows, terms))

    began = time.perf_counter()
    await at_once(encode(), waiting.store(store))
    return time.perf_counter() - began


async def growth(rows: int) -> None:
    """Store up to ``rows``, and compare the rates of the first and the last."""
    step = 5_000
    rates = []
    async with connect() as sessions:
        for seed in range(rows // step):
            found = list(synthetic.candidates(step, seed))  # outside of the timing
            rates.append(step / await stored(sessions, found))
            if (seed + 1) * step in {10_000, 30_000, 100_000, 300_000}:
                print(f"growth    at {(seed + 1) * step:,}: {rates[-1]:,.0f}/s", flush=True)
    early, late = statistics.median(rates[1:4]), statistics.median(rates[-9:])
    print(
        f"growth    {early:,.0f}/s at ten thousand, {late:,.0f}/s at {rows:,}:"
        f" {100 * late / early:.0f} %"
    )


def memory(scale: int) -> None:
    """Import what is far larger than the memory that may be used for it."""
    with tempfile.TemporaryDirectory() as folder:
        trajectory = Path(folder) / "trajectory.extxyz"
        frames = write_trajectory(trajectory, 2 * 1024**3 // scale)
        size_gb = trajectory.stat().st_size / 1024**3
        peak_mb, report = watched(trajectory)
        print(
            f"memory    {report['imported']:,} of {frames:,} frames, {size_gb:.2f} GB:"
            f" at most {peak_mb:,.0f} MB"
        )
        trajectory.unlink()
        archive = Path(folder) / "many.tar"
        count = write_archive(archive, 100_000 // scale)
        peak_mb, report = watched(archive)
        print(
            f"memory    {report['imported']:,} of {count:,} files in one archive:"
            f" at most {peak_mb:,.0f} MB"
        )


def write_trajectory(path: Path, size: int) -> int:
    """Write frames of 2,000 atoms in no cell until the file has ``size`` bytes."""
    grid = [(x, y, z) for x in range(20) for y in range(10) for z in range(10)]
    frames = 0
    with path.open("w") as stream:
        while stream.tell() < size:
            shift = frames / 65_536  # each another, farther apart than fingerprints are blunt
            stream.write('2000\nProperties=species:S:1:pos:R:3 pbc="F F F"\n')
            stream.writelines(
                f"Ar {4 * x + shift * (y % 2):.8f} {4 * y:.8f} {4 * z:.8f}\n" for x, y, z in grid
            )
            frames += 1
    return frames


def write_archive(path: Path, count: int) -> int:
    """Write an archive of small files."""
    with tarfile.open(path, "w") as archive:
        for number in range(count):
            text = (
                '1\nLattice="{0} 0 0 0 {0} 0 0 0 {0}" Properties=species:S:1:pos:R:3\n'
                "Cu 0 0 0\n".format(3 + number / count)
            ).encode()
            member = tarfile.TarInfo(f"run-{number}/relaxed.extxyz")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    return count


def watched(path: Path) -> tuple[float, dict]:
    """Import ``path`` and return the peak of memory in MB, and the report."""
    words = [sys.executable, "-m", "api.cli", "structures", "import", str(path), "--json"]
    with tempfile.TemporaryFile() as output, psutil.Popen(words, stdout=output) as process:
        peak = 0
        while process.poll() is None:
            try:
                family = [process, *process.children(recursive=True)]
                ours = [one for one in family if "postgres" not in one.name()]
                peak = max(peak, sum(one.memory_info().rss for one in ours))
            except psutil.NoSuchProcess:
                pass
            time.sleep(0.05)
        output.seek(0)
        return peak / 1024**2, json.loads(output.read())


if __name__ == "__main__":
    main()
