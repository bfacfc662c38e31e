"""Claim: what is exported reads back as the same structure, in every format.

Every ordered entry of a folder of CIFs (`bench/corpus.py` writes those of AMCSD) is written in each
format, all into one file where it holds several, and read again. Counted are the fingerprints
that differ, which must be none.

What it does not show: disordered entries, for which POSCAR, extended XYZ and ASE have no place; and
entries that no reader takes.

Run:

    python bench/roundtrip.py FOLDER
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from uuid import UUID

from api.optimade.jsonl import OptimadeJsonLinesWriter
from nanoos.errors import NanoError
from nanoos.parsers import read
from nanoos.structures import Structure, fingerprint
from nanoos.writers import Record, Writer, exporting, writer_of

FORMATS = ("cif", "extxyz", "poscar", "ase-db", "optimade")
PART = 200


def ordered(path: Path) -> Structure | None:
    """Return the structure of a file, None where it is refused or disordered."""
    try:
        (parsed,) = read(path)
    except NanoError:
        return None
    return parsed.structure if parsed.structure.is_ordered else None


def writer(format_: str) -> Writer:
    """Return the writer of a format."""
    return OptimadeJsonLinesWriter() if format_ == "optimade" else writer_of(format_)


def differing(paths: Sequence[Path]) -> tuple[int, dict[str, int]]:
    """Return how many of the files are ordered, and by format how many come back as others."""
    structures = [one for path in paths if (one := ordered(path)) is not None]
    before = [fingerprint(one) for one in structures]
    counts = {}
    for format_ in FORMATS:
        with tempfile.TemporaryDirectory() as folder:
            after = written_and_read(structures, format_, Path(folder))
        counts[format_] = sum(a != b for a, b in zip(before, after, strict=True))
    return len(structures), counts


def written_and_read(structures: Sequence[Structure], format_: str, folder: Path) -> list[str]:
    """Return the fingerprints of structures after their way through files of a format."""
    made = writer(format_)
    sizes = 1 if made.one_per_file else max(1, len(structures))
    found = []
    for first in range(0, len(structures), sizes):
        output = folder / f"{first}{made.suffixes[0]}"
        with exporting(output, made, sources=False) as add:
            for number, structure in enumerate(structures[first : first + sizes]):
                add(Record(structure, {}, {"id": str(UUID(int=number))}))
        found += [fingerprint(one.structure) for one in read(output)]
    return found


def main() -> None:
    """Do what the command line says; exit with 1 where a fingerprint differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=1, help="only each Nth file")
    options = parser.parse_args()
    paths = sorted(options.folder.glob("*.cif"))[:: options.every]
    parts = [paths[first : first + PART] for first in range(0, len(paths), PART)]
    with ProcessPoolExecutor() as pool:
        results = list(pool.map(differing, parts))
    print(f"{len(paths)} files, {sum(n for n, _ in results)} of them read and ordered")
    totals = {name: sum(counts[name] for _, counts in results) for name in FORMATS}
    for name, count in totals.items():
        print(f"{name:10} {count} fingerprints differ")
    sys.exit(any(totals.values()))


if __name__ == "__main__":
    main()
