"""Claim: CIFs are read as independent readers read them.

Every entry of the American Mineralogist Crystal Structure Database, written as CIF once, is read
by NANO-OS and by pymatgen, with its own limit for two images to be one site and with one that suits
coordinates of three or four digits, and by ASE. An entry is equal when one of them agrees; what
differs from each is in a table, with the difference to the first that can read it.

Compared are composition (to 0.01 atoms), cell (lengths and angles) and all interatomic distances
(of every two sites the shortest over all images, sorted, by pair of site contents), to 1e-3 Å and
1e-3 degrees. Where the occupancies of a site add up to a little over 1, they are scaled to 1 as
pymatgen does. The stated space group is searched for in every ordered entry, within 0.01 Å. Tables
of all exceptions, with the cause where it can be told, are written beside the CIFs, separated by
tabs; those of the last run are in docs/corpus.

What it does not show: the three readers share the published conventions, so an error in these
would go unseen; and the entries are minerals, so there are few molecules among them.

pymatgen is no dependency of the project; install it in an environment of its own:

    python3 -m venv /tmp/readers && /tmp/readers/bin/pip install -e . pymatgen
    pip install --no-deps --target /tmp/larixite larixite==2026.1.0

Run:

    python bench/corpus.py write /tmp/larixite/larixite/amcsd_cif1.db FOLDER
    /tmp/readers/bin/python bench/corpus.py compare FOLDER
"""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import gemmi
import numpy as np
from corpus_readers import READERS, Array, Crystal, by_nanoos

from nanoos.errors import NanoError
from nanoos.parsers import read
from nanoos.parsers.cif_items import Items
from nanoos.parsers.cif_sites import asymmetric_unit
from nanoos.structures import space_group
from nanoos.structures.analysis import SYMPREC_STRICT_A

TOLERANCE = 1e-3  # Å and degrees
ATOMS = 0.01
DIFFERENCE = "difference (NANO-OS, not the other)"
NEAR_A = 0.1  # images this close may be one position for one reader, several for another


class Result(NamedTuple):
    """One line of the tables."""

    name: str
    refused: str
    reader: str
    difference: str
    formula: str
    cause: str
    stated: str
    found: str


# The comparison


def difference(ours: Crystal, theirs: Crystal) -> str:
    """Return in what two readings differ; empty when they agree."""
    elements = {*ours.composition, *theirs.composition}
    for e in sorted(elements):
        counts = ours.composition.get(e, 0), theirs.composition.get(e, 0)
        if abs(counts[0] - counts[1]) > ATOMS:
            return f"composition: {counts[0]:.3f} {e}, not {counts[1]:.3f}"
    cells = [cell(crystal.lattice_a) for crystal in (ours, theirs)]
    if np.abs(cells[0] - cells[1]).max() > TOLERANCE:
        return f"cell: {cells[0].round(4).tolist()}, not {cells[1].round(4).tolist()}"
    if sorted(ours.contents) != sorted(theirs.contents):
        extra = Counter(ours.contents) - Counter(theirs.contents)
        missing = Counter(theirs.contents) - Counter(ours.contents)
        return f"sites: {dict(extra)}, not {dict(missing)}"
    ours_a, theirs_a = distances(ours), distances(theirs)
    worst = max((np.abs(ours_a[k] - theirs_a[k]).max() for k in ours_a), default=0.0)
    return f"distances: up to {worst:.4f} Å" if worst > TOLERANCE else ""


def cell(lattice_a: Array) -> Array:
    """Return a, b, c in Å, alpha, beta, gamma in degrees."""
    lengths = np.linalg.norm(lattice_a, axis=1)
    cosines = (lattice_a @ lattice_a.T) / np.outer(lengths, lengths)
    angles = np.degrees(np.arccos(np.clip(cosines[[1, 0, 0], [2, 2, 1]], -1, 1)))
    return np.concatenate([lengths, angles])


def distances(crystal: Crystal) -> dict[tuple[str, str], Array]:
    """Return, for every two kinds of content, the sorted distances in Å between their sites.

    Of all images the nearest counts; in a Minkowski-reduced cell it is among the 27 next to the
    one inside.
    """
    from ase.geometry import minkowski_reduce

    reduced, _ = minkowski_reduce(crystal.lattice_a)
    places = crystal.fractional @ crystal.lattice_a @ np.linalg.inv(reduced)
    steps = np.array(list(product((-1, 0, 1), repeat=3))) @ reduced
    rows, columns = np.triu_indices(len(places), k=1)
    nearest = np.full(len(rows), np.inf)
    for first in range(0, len(rows), 100_000):
        part = slice(first, first + 100_000)
        offsets = places[rows[part]] - places[columns[part]]
        vectors = (offsets - np.round(offsets)) @ reduced
        for step in steps:
            lengths = ((vectors + step) ** 2).sum(axis=1)
            np.minimum(nearest[part], lengths, out=nearest[part])
    kinds, numbers = np.unique(crystal.contents, return_inverse=True)
    low, high = (
        np.minimum(numbers[rows], numbers[columns]),
        np.maximum(numbers[rows], numbers[columns]),
    )
    pairs = low * len(kinds) + high
    return {
        (str(kinds[pair // len(kinds)]), str(kinds[pair % len(kinds)])): np.sort(
            np.sqrt(nearest[pairs == pair])
        )
        for pair in np.unique(pairs).tolist()
    }


def agreeing_with(path: Path, ours: Crystal, theirs: Crystal) -> str:
    """Return whose composition has the proportions of the formula that the file states.

    Hydrogen aside, which many a published model lacks.
    """
    (parsed,) = read(path)
    amounts = stated_amounts(str(parsed.extra.get("stated_formula", "")))
    agree = [proportional(crystal.composition, amounts) for crystal in (ours, theirs)]
    return {(True, True): "both", (True, False): "ours", (False, True): "the other's"}.get(
        (agree[0], agree[1]), "neither"
    )


def stated_amounts(formula: str) -> dict[str, float]:
    """Return element → number of a formula such as ``(Mg.81 Cr.19) O2.9 (O H)2``."""
    stack: list[Counter[str]] = [Counter()]
    for opening, closing, times, element, number in re.findall(
        r"([(\[])|([)\]])([\d.]*)|([A-Z][a-z]?)([\d.]*)", formula
    ):
        if opening:
            stack.append(Counter())
        elif closing and len(stack) > 1:
            inner = stack.pop()
            for inner_element, count in inner.items():
                stack[-1][inner_element] += count * float(times or 1)
        elif element:
            stack[-1]["H" if element == "D" else element] += float(number or 1)
    return dict(sum(stack, Counter()))


def proportional(composition: dict[str, float], amounts: dict[str, float]) -> bool:
    """Tell whether a cell holds the elements of a formula in its proportions, to 3 %."""
    if {*composition} - {"H"} != {*amounts} - {"H"}:
        return False
    ratios = [composition[e] / amounts[e] for e in amounts if e != "H" and amounts[e] > 0]
    return max(ratios, default=1) <= 1.03 * min(ratios, default=1)


def cause(path: Path, ours: Crystal, theirs: Crystal, reader: str) -> str:
    """Return why a reader differs from NANO-OS; empty where that cannot be told."""
    known = {*ours.composition} - {*theirs.composition}
    foreign = {*theirs.composition} - {*ours.composition}
    if known or foreign:
        return cause_in_labels(path, known, foreign, reader)
    n_ours, n_theirs = len(ours.contents), len(theirs.contents)
    if n_ours != n_theirs:
        one, several = ("NANO-OS", reader) if n_ours < n_theirs else (reader, "NANO-OS")
        return cause_in_images(max(ours, theirs, key=lambda c: len(c.contents)), one, several)
    n_atoms = [sum(crystal.composition.values()) for crystal in (ours, theirs)]
    if abs(n_atoms[0] - n_atoms[1]) > ATOMS:
        return f"the same sites hold {n_atoms[0]:g} atoms for NANO-OS, {n_atoms[1]:g} for {reader}"
    if sorted(ours.contents) != sorted(theirs.contents):
        return "equal but for shares of a site that round to another hundredth"
    return ""


def cause_in_labels(path: Path, known: set[str], foreign: set[str], reader: str) -> str:
    """Return which label of an atom site is read as another element."""
    read_as = ", ".join(sorted(foreign)) or "another element"
    for site in asymmetric_unit(Items(gemmi.cif.read_file(str(path)).sole_block())):
        ((element, _),) = site.occupants
        label = site.label.lower()
        if element in known or any(label.startswith(other.lower()) for other in foreign):
            return f"{reader} reads the label {site.label} as {read_as}, NANO-OS as {element}"
    return ""


def cause_in_images(crystal: Crystal, one: str, several: str) -> str:
    """Return which sites lie so close that they are one position for the reader ``one``."""
    nearest = [(d[0], kind[0]) for kind, d in distances(crystal).items() if kind[0] == kind[1]]
    near_a, kind = min(nearest, default=(NEAR_A, ""))
    if near_a >= NEAR_A:
        return ""
    return f"images of {kind} are {near_a:.3f} Å apart: one position for {one}, not for {several}"


def compared(path: Path) -> Result:
    """Read a file with all readers and compare."""
    warnings.simplefilter("ignore")
    result = Result(path.stem.removeprefix("amcsd_"), "", "none", "", "", "", "", "")
    try:
        ours = by_nanoos(path)
    except NanoError as error:
        result = result._replace(refused=" ".join(str(error).split()))
        ours = None
    for name, reader in READERS.items():
        try:
            theirs = reader(path)
        except Exception:  # noqa: BLE001 - whatever stops a foreign reader
            continue
        if ours is None:
            result = result._replace(reader=name)
            break
        differs = difference(ours, theirs)
        if result.reader == "none" or not differs:
            result = result._replace(
                reader=name,
                difference=differs,
                formula=agreeing_with(path, ours, theirs),
                cause=cause(path, ours, theirs, name) if differs else "",
            )
        if not differs:
            break
    return result if ours is None else symmetry(path, result)


def symmetry(path: Path, result: Result) -> Result:
    """Add the space group stated and the one found, where the entry is ordered."""
    (parsed,) = read(path)
    stated = gemmi.find_spacegroup_by_name(str(parsed.extra.get("stated_space_group", "")))
    if stated is None or not parsed.structure.is_ordered:
        return result
    try:
        found = space_group(parsed.structure, SYMPREC_STRICT_A)
        number = str(found.number) if found else "none"
    except NanoError:
        number = "search failed"
    return result._replace(stated=str(stated.number), found=number)


def higher(stated: str, found: str) -> str:
    """Tell whether the space group found has more operators, or fewer, than the one stated."""
    if not found.isdecimal():
        return found
    orders = [
        len(gemmi.find_spacegroup_by_number(int(number)).operations().sym_ops)
        for number in (stated, found)
    ]
    return "higher" if orders[1] > orders[0] else "lower" if orders[1] < orders[0] else "other"


# The runs


def write(collection: Path, folder: Path) -> None:
    """Write every entry as CIF."""
    sys.path.append(str(Path(__file__).parents[1] / "examples"))
    import amcsd

    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for entry in amcsd.entries(amcsd.collection(collection)):
        name = f"amcsd_{entry['id']:07d}"
        (folder / f"{name}.cif").write_text(amcsd.cif_text(entry, name), encoding="utf-8")
        count += 1
    print(f"{count} CIFs in {folder}")


def compare(folder: Path, every: int) -> None:
    """Compare all files, print the figures, write the tables."""
    files = sorted(folder.glob("*.cif"))[::every]
    with ProcessPoolExecutor() as pool:
        results = list(pool.map(compared, files, chunksize=20))
    read_by_both = [r for r in results if not r.refused and r.reader != "none"]
    agreeing = [r for r in read_by_both if not r.difference]
    searched = [r for r in results if r.stated]
    same = [r for r in searched if r.stated == r.found]
    print(f"{len(files)} files; {sum(not r.refused for r in results)} read")
    print(f"read by another too: {len(read_by_both)}; equal: {share(agreeing, read_by_both)}")
    for reader in READERS:
        print(f"  to what {reader} reads: {sum(r.reader == reader for r in agreeing)}")
    print(f"ordered, space group stated: {len(searched)}; found again: {share(same, searched)}")
    tables: dict[str, list[list[str]]] = {
        "refused.tsv": [
            ["entry", "read by", "cause"],
            *([r.name, r.reader, r.refused] for r in results if r.refused),
        ],
        "differing.tsv": [
            ["entry", "reader", DIFFERENCE, "formula stated agrees with", "cause"],
            *(
                [r.name, r.reader, r.difference, r.formula, r.cause]
                for r in results
                if r.difference
            ),
        ],
        "space_groups.tsv": [
            ["entry", "stated", "found", "symmetry found"],
            *(
                [r.name, r.stated, r.found, higher(r.stated, r.found)]
                for r in searched
                if r.stated != r.found
            ),
        ],
    }
    for name, rows in tables.items():
        text = "".join("\t".join(row) + "\n" for row in rows)
        (folder / name).write_text(text, encoding="utf-8")
    for whose, count in Counter(r.formula for r in results if r.difference).most_common():
        print(f"  of those that differ, the stated formula has the proportions of {whose}: {count}")
    kinds = Counter(re.sub(r"[-\d.]+", "#", r.difference)[:60] for r in results if r.difference)
    for kind, count in kinds.most_common(12):
        print(f"{count:6} {kind}")


def share(part: list[Any], whole: list[Any]) -> str:
    """Return a count and its share."""
    return f"{len(part)} ({100 * len(part) / max(1, len(whole)):.2f} %)"


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, dest="command")
    writing = commands.add_parser("write", help="the CIFs from the collection")
    writing.add_argument("collection", type=Path)
    writing.add_argument("folder", type=Path)
    comparing = commands.add_parser("compare", help="the readers on the CIFs")
    comparing.add_argument("folder", type=Path)
    comparing.add_argument("--every", type=int, default=1, help="only each Nth file")
    options = parser.parse_args()
    if options.command == "write":
        write(options.collection, options.folder)
    else:
        compare(options.folder, options.every)


if __name__ == "__main__":
    main()
