"""Claim: energies above the hull are those of pymatgen's PhaseDiagram, to 1e-6 eV per atom.

Random systems of one to five elements, with up to 200 entries: compositions of small whole numbers,
so that many coincide or lie on one line, energies from a curved surface with noise, some of them
equal; and every chemical system of up to five elements within files of computed entries as pymatgen
writes them. Formation energies and energies above the hull of every entry are compared, and that
what it decomposes into has its composition and the energy of the hull.

The figures, and the values that tests compare with, are also of 1,326 entries of the Materials
Project (A. Jain et al., APL Mater. 1, 011002 (2013); CC BY 4.0) of C, Cl, K, Li, Mn, Na, O and Y,
from computed_entries_C_Cl_K_Li_Mn_Na_O_Y_08_08_21.json.gz of the repository
GENESIS-EFRC/y2mn2o7-selectivity.

What it does not show: both use Qhull, with other points and options; tests compare with linear
programming.

pymatgen is no dependency of the project; run it in an environment with both:

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install -e . pymatgen
    /tmp/peers/bin/python bench/hull.py --systems 3000 [ENTRIES.json.gz …]
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain, combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nanoos.thermodynamics import Entry, Hull, convex_hull

ELEMENTS = ("Li", "Fe", "O", "P", "Si")
TOLERANCE_EV = 1e-6
FEWEST_ENTRIES = 3


class System(NamedTuple):
    """A chemical system and its entries, references among them."""

    name: str
    entries: list[Entry]


class Theirs(NamedTuple):
    """What pymatgen finds, in the order of the entries, and its seconds."""

    formation: np.ndarray
    above_hull: np.ndarray
    seconds: float


def random_systems(count: int, seed: int) -> Iterator[System]:
    """Yield systems in which compositions and energies often coincide."""
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        elements = ELEMENTS[: rng.integers(1, len(ELEMENTS) + 1)]
        amounts = rng.integers(0, rng.integers(2, 7), (rng.integers(1, 200), len(elements)))
        amounts = np.vstack([np.eye(len(elements), dtype=int), amounts[amounts.any(axis=1)]])
        x = amounts / amounts.sum(axis=1, keepdims=True)
        well = -rng.uniform(0, 3) * (1 - (x**2).sum(axis=1))
        energies = (
            well
            + rng.normal(0, rng.choice([0, 0.01, 0.5]), len(x))
            + x @ rng.normal(-5, 3, len(elements))
        )
        if rng.random() < 0.3:
            energies = energies.round(1)
        yield System(
            f"random {number}",
            [
                Entry({e: int(n) for e, n in zip(elements, row, strict=True) if n}, float(energy))
                for row, energy in zip(amounts, energies, strict=True)
            ],
        )


def systems_of(file: Path) -> Iterator[System]:
    """Yield every chemical system of up to five elements in a list of computed entries."""
    by_elements: dict[frozenset[str], list[Entry]] = defaultdict(list)
    content = file.read_bytes()
    text = gzip.decompress(content) if file.suffix == ".gz" else content
    for document in json.loads(text):
        composition = {e: float(n) for e, n in document["composition"].items() if n}
        energy = (document["energy"] + document.get("correction", 0)) / sum(composition.values())
        by_elements[frozenset(composition)].append(Entry(composition, energy))
    known = sorted(e for (e,) in (elements for elements in by_elements if len(elements) == 1))
    for size in range(1, len(ELEMENTS) + 1):
        for elements in combinations(known, size):
            entries = [
                entry
                for one, many in by_elements.items()
                if one <= frozenset(elements)
                for entry in many
            ]
            if len(entries) >= FEWEST_ENTRIES:
                yield System("-".join(elements), entries)


def by_pymatgen(entries: list[Entry]) -> Theirs:
    """Return what pymatgen finds."""
    from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
    from pymatgen.core import Composition

    start = time.process_time()
    theirs = [
        PDEntry(Composition(e.composition), e.energy_ev_per_atom * sum(e.composition.values()))
        for e in entries
    ]
    diagram = PhaseDiagram(theirs)
    formation = [diagram.get_form_energy_per_atom(entry) for entry in theirs]
    above = [diagram.get_e_above_hull(entry, allow_negative=False) for entry in theirs]
    return Theirs(np.array(formation), np.array(above), time.process_time() - start)


def imbalance(hull: Hull) -> float:
    """Return how far any decomposition is from its entry, in fractions of atoms or eV per atom."""
    worst = 0.0
    for i, decomposition in enumerate(hull.decompositions):
        members, shares = list(decomposition), np.array(list(decomposition.values()))
        atoms = shares @ hull.fractions[members] - hull.fractions[i]
        released = hull.formation_ev_per_atom[i] - shares @ hull.formation_ev_per_atom[members]
        worst = max(
            worst, float(np.abs(atoms).max()), abs(released - hull.above_hull_ev_per_atom[i])
        )
    return worst


def fixture(systems: Iterator[System]) -> dict[str, Any]:
    """Return systems with pymatgen's numbers, for the tests."""
    from importlib.metadata import version

    documents = []
    for name, entries in systems:
        theirs = by_pymatgen(entries)
        documents.append(
            {
                "name": name,
                "compositions": [entry.composition for entry in entries],
                "energy_ev_per_atom": [round(entry.energy_ev_per_atom, 9) for entry in entries],
                "formation_ev_per_atom": theirs.formation.round(8).tolist(),
                "above_hull_ev_per_atom": theirs.above_hull.round(8).tolist(),
            }
        )
    return {
        "source": f"bench/hull.py, pymatgen-core {version('pymatgen-core')}",
        "systems": documents,
    }


def compare(systems: Iterator[System]) -> int:
    """Print the largest differences; return how many systems differ by more than the tolerance."""
    count, n_entries, differing, worst, ours_s, theirs_s = 0, 0, 0, np.zeros(3), 0.0, 0.0
    for name, entries in systems:
        start = time.process_time()
        hull = convex_hull(entries)
        ours_s += time.process_time() - start
        theirs = by_pymatgen(entries)
        theirs_s += theirs.seconds
        off = np.array(
            [
                np.abs(hull.formation_ev_per_atom - theirs.formation).max(),
                np.abs(hull.above_hull_ev_per_atom - theirs.above_hull).max(),
                imbalance(hull),
            ]
        )
        if (off > TOLERANCE_EV).any():
            differing += 1
            print(f"{name}: {off}", file=sys.stderr)
        count, n_entries, worst = count + 1, n_entries + len(entries), np.maximum(worst, off)
    print(
        f"{count} systems, {n_entries} entries, {differing} differ by more than {TOLERANCE_EV} eV"
    )
    print("largest difference in formation energy, energy above hull, balance:", *worst)
    print(f"processor time: {ours_s:.1f} s, pymatgen {theirs_s:.1f} s")
    return differing


def main() -> None:
    """Compare, or write what tests compare with."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, help="JSON lists of computed entries")
    parser.add_argument("--systems", type=int, default=3000, help="random ones")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="systems, as in Mn-O")
    parser.add_argument("--fixture", type=Path, help="write them there with pymatgen's numbers")
    options = parser.parse_args()

    known = chain(random_systems(options.systems, options.seed), *map(systems_of, options.files))
    systems = (one for one in known if not options.only or one.name in options.only)
    if options.fixture:
        options.fixture.write_text(json.dumps(fixture(systems)) + "\n")
        return
    sys.exit(compare(systems) > 0)


if __name__ == "__main__":
    main()
