"""Claim: how far engines are from all-electron PBE in V0, B0 and the whole equation of state.

Crystals and their references are those of the ACWF protocol (E. Bosoni et al., Nat. Rev. Phys. 6,
45 (2024); mean of FLEUR and WIEN2k): each element as sc, bcc, fcc and diamond, and as six cubic
oxides, 960 in all, from the files AE-average-unaries.json and AE-average-oxides.json of the Python
package aiida-sssp-workflow; and the ground-state crystals of 71 elements with WIEN2k's numbers of
ase.collections.dcdft. Every engine runs the workflow equation_of_state, from the reference volume,
and is compared by ε and ν of that protocol and by V0 and B0.

What it does not show: energies between phases, forces, and magnetism: the references of ACWF have
none, while the data on which networks were trained has. Nor is PBE what empirical potentials were
fitted to: that is often experiment.

    python bench/physics.py FOLDER --engine emt --engine chgnet
    python bench/physics.py FOLDER --draw          # what was found so far

FOLDER holds the two files; what is found goes to FOLDER/found, a line a crystal, and is not
calculated twice.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from ase.units import GPa

from nanoos.agreement import (
    EXCELLENT_EPSILON,
    EXCELLENT_NU,
    GOOD_EPSILON,
    GOOD_NU,
    epsilon,
    nu,
)
from nanoos.engines import Engine, make
from nanoos.errors import NanoError
from nanoos.reference import dcdft
from nanoos.structures import Structure
from nanoos.workflows.birch_murnaghan import BirchMurnaghan
from nanoos.workflows.equation_of_state import EquationOfState, EquationOfStateParameters

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "physics.svg"
FCC = ((0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0))
BCC = ((-0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.5, 0.5, -0.5))
CUBIC = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
CORNERS = ((0.25, 0.25, 0.25), (0.75, 0.75, 0.25), (0.75, 0.25, 0.75), (0.25, 0.75, 0.75))
EDGES = ((0.5, 0, 0), (0, 0.5, 0), (0, 0, 0.5))
FACES = ((0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5))
OPPOSITE = tuple(tuple(1 - x for x in corner) for corner in CORNERS)
PROTOTYPES: dict[str, tuple[Any, tuple[Any, ...], tuple[Any, ...]]] = {
    "X/FCC": (FCC, ((0, 0, 0),), ()),
    "X/BCC": (BCC, ((0, 0, 0),), ()),
    "X/SC": (CUBIC, ((0, 0, 0),), ()),
    "X/Diamond": (FCC, ((0, 0, 0), (0.25, 0.25, 0.25)), ()),
    "X2O": (FCC, ((0.25, 0.25, 0.25), (0.75, 0.75, 0.75)), ((0, 0, 0),)),
    "XO": (FCC, ((0, 0, 0),), ((0.5, 0.5, 0.5),)),
    "X2O3": (CUBIC, CORNERS, EDGES + FACES),
    "XO2": (FCC, ((0, 0, 0),), ((0.25, 0.25, 0.25), (0.75, 0.75, 0.75))),
    "X2O5": (CUBIC, ((0, 0, 0), *FACES), (*EDGES, (0.5, 0.5, 0.5), *CORNERS[1:], *OPPOSITE[1:])),
    "XO3": (CUBIC, ((0, 0, 0),), EDGES),
}
"""Cell over the cubic lattice constant, and Cartesian places in it of X and of oxygen, as in the
structures of the ACWF protocol; the volume tells the lattice constant."""


class Crystal(NamedTuple):
    """A crystal at its reference volume, and the reference."""

    name: str
    structure: Structure
    reference: BirchMurnaghan


def crystals(folder: Path) -> Iterator[Crystal]:
    """Yield those of all three sets."""
    yield from ground_states()
    fits: dict[str, dict[str, float]] = {}
    n_atoms: dict[str, int] = {}
    for kind in ("unaries", "oxides"):
        document = json.loads((folder / f"AE-average-{kind}.json").read_text())
        fits |= document["BM_fit_data"]
        n_atoms |= document["num_atoms_in_sim_cell"]
    for configuration in PROTOTYPES:
        for name in fits:
            if name.partition("-")[2] == configuration:
                yield acwf(name, fits[name], n_atoms[name])


def acwf(name: str, fit: dict[str, float], n_atoms: int) -> Crystal:
    """Return a crystal of the ACWF protocol; ``n_atoms`` are those that its volume holds."""
    element, _, configuration = name.partition("-")
    cell, of_element, of_oxygen = PROTOTYPES[configuration]
    symbols = [element] * len(of_element) + ["O"] * len(of_oxygen)
    volume_a3 = fit["min_volume"] * len(symbols) / n_atoms
    lattice_constant_a = (volume_a3 / abs(np.linalg.det(np.array(cell)))) ** (1 / 3)
    structure = Structure.of(
        np.array(cell) * lattice_constant_a,
        np.array(of_element + of_oxygen) * lattice_constant_a,
        symbols,
    )
    return Crystal(
        name,
        structure,
        BirchMurnaghan(0.0, volume_a3, fit["bulk_modulus_ev_ang3"] / GPa, fit["bulk_deriv"]),
    )


def ground_states() -> Iterator[Crystal]:
    """Yield the crystals of ``ase.collections.dcdft`` at their references' volumes."""
    from ase.collections import dcdft as collection

    for element, reference in dcdft().items():
        atoms = collection[element]
        volume_a3 = reference.volume_a3_per_atom * len(atoms)
        atoms.set_cell(atoms.cell * (volume_a3 / atoms.get_volume()) ** (1 / 3), scale_atoms=True)
        yield Crystal(
            f"{element}-X/ground state",
            Structure.from_ase(atoms),
            BirchMurnaghan(
                0.0, volume_a3, reference.bulk_modulus_gpa, reference.bulk_modulus_derivative
            ),
        )


def found(crystal: Crystal, engine: Engine) -> dict[str, Any]:
    """Return what the engine finds and how far that is from the reference, or why nothing."""
    workflow = EquationOfState()
    with TemporaryDirectory() as folder:
        try:
            outcome = workflow.run(
                crystal.structure,
                EquationOfStateParameters(),
                engine,
                silent,
                Path(folder),
            )
        except NanoError as error:
            return {"crystal": crystal.name, "error": str(error)}
    fit = outcome.data["fit"]
    ours = BirchMurnaghan(**{name: fit[name] for name in BirchMurnaghan.__dataclass_fields__})
    theirs = crystal.reference
    return {
        "crystal": crystal.name,
        "volume_a3": ours.volume_a3,
        "bulk_modulus_gpa": ours.bulk_modulus_gpa,
        "bulk_modulus_derivative": ours.bulk_modulus_derivative,
        "volume_error_percent": 100 * (ours.volume_a3 / theirs.volume_a3 - 1),
        "bulk_modulus_error_percent": 100 * (ours.bulk_modulus_gpa / theirs.bulk_modulus_gpa - 1),
        "epsilon": epsilon(ours, theirs),
        "nu": nu(ours, theirs),
        "converged": outcome.convergence["converged"],
    }


def silent(*_: Any, **__: Any) -> None:
    """Take the workflow's progress."""


def run(folder: Path, engine: Engine) -> None:
    """Write what the engine finds of every crystal that it can do, and of which it is not known."""
    file = folder / "found" / f"{engine.name}.jsonl"
    file.parent.mkdir(exist_ok=True)
    known = {one["crystal"] for one in lines(file)}
    with file.open("a") as out:
        for crystal in crystals(folder):
            if crystal.name in known or engine.refuses(crystal.structure):
                continue
            out.write(json.dumps(found(crystal, engine)) + "\n")
            out.flush()


def lines(file: Path) -> list[dict[str, Any]]:
    """Return what a file of lines holds; none where it is not there."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def table(folder: Path) -> None:
    """Print one row for each engine and kind of crystal."""
    print(
        "| engine | crystals | with a minimum | V0 | B0 | ε | ε ≤ 0.06, 0.20 | ν | ν ≤ 0.10, 0.33 |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for engine, kind, rows in sorted(grouped(folder), key=lambda group: group[:2]):
        done = [row for row in rows if "error" not in row]
        if not done:
            continue
        volume, modulus, eps, nus = (
            np.array([row[name] for row in done])
            for name in ("volume_error_percent", "bulk_modulus_error_percent", "epsilon", "nu")
        )
        print(
            f"| {engine} | {len(rows)} {kind} | {len(done)} | {spread(volume)} | {spread(modulus)} "
            f"| {np.median(eps):.2f} | {share(eps, EXCELLENT_EPSILON)}, {share(eps, GOOD_EPSILON)} "
            f"| {np.median(nus):.1f} | {share(nus, EXCELLENT_NU)}, {share(nus, GOOD_NU)} |"
        )


def elements(folder: Path, engine: str) -> None:
    """Print V0 and B0 of the ground-state crystals of an engine's elements, beside WIEN2k's."""
    print("| element | V0 (Å³ per atom) | off | B0 (GPa) | off | ε |")
    print("|---|---|---|---|---|---|")
    known = {crystal.name: crystal for crystal in ground_states()}
    for row in lines(folder / "found" / f"{engine}.jsonl"):
        if row["crystal"] not in known:
            continue
        element, n_atoms = row["crystal"].partition("-")[0], known[row["crystal"]].structure.n_sites
        if "error" in row:
            print(f"| {element} | | | | | {row['error'].partition(':')[0]} |")
            continue
        volume_a3 = row["volume_a3"] / n_atoms
        print(
            f"| {element} | {volume_a3:.2f} | {row['volume_error_percent']:+.1f} % "
            f"| {row['bulk_modulus_gpa']:.0f} | {row['bulk_modulus_error_percent']:+.0f} % "
            f"| {row['epsilon']:.2f} |"
        )


def draw(folder: Path) -> None:
    """Draw which share of each engine's crystals is within which ε."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "physics"
    from matplotlib import pyplot

    kinds = ("ground state", "fcc", "bcc")
    figure, axes = pyplot.subplots(1, 3, figsize=(11, 3.6), sharey=True, layout="constrained")
    for axis, kind in zip(axes, kinds, strict=True):
        for engine, its_kind, rows in sorted(grouped(folder), key=lambda group: group[0]):
            eps = sorted(row.get("epsilon", np.inf) for row in rows)
            if its_kind == kind:
                axis.step(eps, 100 * np.arange(1, len(eps) + 1) / len(eps), label=engine)
        for limit, word in ((EXCELLENT_EPSILON, "excellent"), (GOOD_EPSILON, "good")):
            axis.axvline(limit, color="grey", linewidth=0.7)
            axis.text(limit, 101, word, ha="center", va="bottom", fontsize=7, color="grey")
        axis.set(xscale="log", xlim=(0.01, 5), ylim=(0, 100), xlabel="ε to all-electron PBE")
        axis.set_title(kind, pad=14)
        axis.legend(fontsize=7, frameon=False, loc="upper left")
    axes[0].set_ylabel("crystals within it (%)")
    figure.savefig(PICTURE, metadata={"Date": None})


def grouped(folder: Path) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """Return engine, kind of crystal and what was found."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for file in (folder / "found").glob("*.jsonl"):
        for row in lines(file):
            groups[file.stem, kind_of(row["crystal"])].append(row)
    return [(engine, kind, rows) for (engine, kind), rows in groups.items()]


def kind_of(crystal: str) -> str:
    """Return what the tables call a crystal's configuration: fcc, oxides, ground state …"""
    configuration = crystal.partition("-")[2]
    return configuration.partition("/")[2].lower() or "oxides"


def spread(errors: np.ndarray) -> str:
    """Return the median error in percent, and the median of its size."""
    return f"{np.median(errors):+.1f} % ({np.median(np.abs(errors)):.1f} %)"


def share(values: np.ndarray, limit: float) -> str:
    """Return how many are within the limit."""
    return f"{100 * np.mean(values <= limit):.0f} %"


def main() -> None:
    """Calculate with the engines that are named, then print and draw what was found so far."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="with AE-average-unaries.json and -oxides.json")
    parser.add_argument("--engine", action="append", default=[], help="may be repeated")
    parser.add_argument("--draw", action="store_true", help=f"write {PICTURE.name}")
    parser.add_argument("--elements", help="an engine whose elements are listed")
    options = parser.parse_args()
    for name in options.engine:
        engine = make(name)
        if reason := engine.probe():
            sys.exit(reason)
        run(options.folder, engine)
    if options.elements:
        elements(options.folder, options.elements)
    table(options.folder)
    if options.draw:
        draw(options.folder)


if __name__ == "__main__":
    main()
