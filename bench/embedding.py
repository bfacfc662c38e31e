"""Claim: the SOAP embedding finds crystals of the same structure type better than a simple one.

Crystals of 38 structure types (the distinct ones among ASE's elemental ground states, and
compounds built from space groups) are disguised: other elements, another size, 2 % random
strain, atoms moved by 0.08 Å, another cell, another order of sites. Each then ranks all others
by distance; the mean average precision (1: all of its type come first) is printed beside that
of two baselines on the same crystals in the same run:

- the sorted composition fractions alone, which know nothing of geometry;
- a histogram of the pair distances up to 8 Å, after the same scaling to 15 Å3 per site, with
  the fractions appended, which knows distances but no angles.

What it does not show: the types are few and the disguise is ours, so a search among real
crystals, where types shade into each other, is harder. Among these the misses come from types
that a small strain turns into each other (fcc and indium, simple cubic and sulphur's, hcp and
its stacking variants). The histogram is plain Python: its time says nothing of the method.

Run: python bench/embedding.py [SEED]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import spglib
from ase import Atoms
from ase.build import bulk
from ase.collections import dcdft
from ase.data import chemical_symbols
from ase.neighborlist import neighbor_list
from ase.spacegroup import crystal
from numpy.typing import NDArray

from nanoos.embedders.soap import Soap
from nanoos.structures import Structure

Array = NDArray[np.float64]
VARIANTS, STRAIN, RATTLE_A = 6, 0.02, 0.08


def structure_types() -> dict[str, Atoms]:
    """One crystal of each structure type, by name."""
    types = {
        "rock salt": bulk("NaCl", "rocksalt", a=5.6),
        "caesium chloride": bulk("CsCl", "cesiumchloride", a=4.1),
        "zinc blende": bulk("ZnS", "zincblende", a=5.4),
        "wurtzite": bulk("ZnO", "wurtzite", a=3.2, c=5.2),
        "fluorite": bulk("CaF2", "fluorite", a=5.5),
    }
    # Special positions of the space groups only, but for rutile, pyrite and corundum,
    # whose free coordinates are set to the ideal packing's or near it: no measured crystal.
    corner, centre, quarter = (0, 0, 0), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
    cubic = {
        "perovskite": (221, [corner, centre, (0.5, 0.5, 0)]),
        "rhenium oxide": (221, [corner, (0.5, 0, 0)]),
        "auricupride": (221, [corner, (0.5, 0.5, 0)]),
        "cuprite": (224, [corner, quarter]),
        "A15": (223, [corner, (0.25, 0, 0.5)]),
        "Heusler": (225, [corner, centre, quarter]),
        "half-Heusler": (216, [corner, centre, quarter]),
        "Zintl": (227, [corner, centre]),
        "Laves": (227, [(0.125,) * 3, centre]),
        "pyrite": (205, [corner, (0.385,) * 3]),
    }
    for name, (group, sites) in cubic.items():
        types[name] = compound(group, sites, (1, 1, 1, 90, 90, 90))
    third = (1 / 3, 2 / 3, 0.25)
    types["nickeline"] = compound(194, [corner, third], (1, 1, 1.4, 90, 90, 120))
    types["cadmium iodide"] = compound(164, [corner, third], (1, 1, 1.6, 90, 90, 120))
    layer = [corner, (1 / 3, 2 / 3, 0.5)]
    types["aluminium boride"] = compound(191, layer, (1, 1, 1.1, 90, 90, 120))
    types["tungsten carbide"] = compound(187, layer, (1, 1, 0.98, 90, 90, 120))
    types["rutile"] = compound(136, [corner, (0.3, 0.3, 0)], (1, 1, 0.65, 90, 90, 90))
    types["CuAu"] = compound(123, [corner, centre], (1, 1, 1.3, 90, 90, 90))
    corundum = [(0, 0, 0.352), (0.306, 0, 0.25)]
    types["corundum"] = compound(167, corundum, (1, 1, 2.73, 90, 90, 120))
    return {**elements(), **types}


def compound(group: int, sites: list[tuple[float, ...]], cell: tuple[float, ...]) -> Atoms:
    """A primitive cell with another element on each kind of site, at 15 Å3 per atom."""
    atoms = crystal(
        ["Na", "Cl", "O"][: len(sites)],
        sites,
        spacegroup=group,
        cellpar=list(cell),
        primitive_cell=True,
    )
    return scaled(atoms, 15.0)


def elements() -> dict[str, Atoms]:
    """The elemental ground states of ``ase.collections.dcdft`` that differ in symmetry."""
    distinct: dict[tuple[int, int], str] = {}
    for symbol in dcdft.names:
        atoms = dcdft[symbol]
        cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
        group = spglib.get_symmetry_dataset(cell, symprec=0.01).number
        n_primitive = len(spglib.find_primitive(cell, symprec=0.01)[2])
        distinct.setdefault((group, n_primitive), symbol)
    return {f"as {symbol}": dcdft[symbol] for symbol in distinct.values()}


def scaled(atoms: Atoms, volume_a3_per_atom: float) -> Atoms:
    """A copy blown up to ``volume_a3_per_atom``."""
    copy = atoms.copy()
    factor = volume_a3_per_atom * len(atoms) / atoms.get_volume()
    copy.set_cell(atoms.cell * factor ** (1 / 3), scale_atoms=True)
    return copy


def disguised(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """The same structure type in other clothes."""
    kinds = sorted(set(atoms.symbols))
    clothes = dict(
        zip(kinds, rng.choice(chemical_symbols[3:84], len(kinds), replace=False), strict=True)
    )
    other = scaled(atoms, rng.uniform(10, 30))
    other.symbols = [clothes[symbol] for symbol in other.symbols]
    other.set_cell(other.cell @ (np.eye(3) + rng.normal(0, STRAIN, (3, 3))), scale_atoms=True)
    if len(other) < 20:
        other = other.repeat(rng.permutation([1, 1, 2]))
    other.positions += rng.normal(0, RATTLE_A, other.positions.shape)
    return other[rng.permutation(len(other))]


def fractions(crystals: list[Atoms]) -> Array:
    """Sorted composition fractions, (n, 6)."""
    rows = np.zeros((len(crystals), 6))
    for row, atoms in zip(rows, crystals, strict=True):
        counts = np.sort(np.unique(atoms.numbers, return_counts=True)[1])[::-1]
        row[: len(counts)] = counts / len(atoms)
    return rows


def histograms(crystals: list[Atoms]) -> Array:
    """Pair distances up to 8 Å in 80 bins, weighted by 1/r², unit length; and fractions."""
    rows = []
    for atoms in crystals:
        distances = neighbor_list("d", scaled(atoms, 15.0), 8.0)
        bins, _ = np.histogram(distances, bins=80, range=(0, 8), weights=distances**-2)
        smooth = np.convolve(bins, np.exp(-(np.arange(-4, 5) ** 2) / 4), mode="same")
        rows.append(smooth / np.linalg.norm(smooth))
    return np.hstack([rows, fractions(crystals)])


def soap(crystals: list[Atoms]) -> Array:
    """Our embedding."""
    return Soap().embed([Structure.from_ase(atoms) for atoms in crystals]).vectors.astype(float)


def mean_average_precision(vectors: Array, labels: NDArray[np.str_]) -> float:
    """The mean, over all crystals, of the precision at each of its kin in the ranking."""
    precisions = []
    for i, vector in enumerate(vectors):
        distance = np.linalg.norm(vectors - vector, axis=1)
        order = np.argsort(distance, kind="stable")
        kin = (labels[order] == labels[i])[order != i]
        precisions.append(np.mean((np.cumsum(kin) / np.arange(1, len(kin) + 1))[kin]))
    return float(np.mean(precisions))


def main(seed: int) -> None:
    """Print the scores, their ratio to the best baseline, and the time per crystal."""
    rng = np.random.default_rng(seed)
    types = structure_types()
    crystals = [disguised(atoms, rng) for atoms in types.values() for _ in range(VARIANTS)]
    labels = np.repeat(list(types), VARIANTS)
    shuffle = rng.permutation(len(crystals))  # so that ties are not broken by type
    crystals, labels = [crystals[i] for i in shuffle], labels[shuffle]
    print(f"{len(crystals)} crystals of {len(types)} structure types, seed {seed}")
    methods: dict[str, Callable[[list[Atoms]], Array]] = {
        "composition fractions": fractions,
        "pair distances + fractions": histograms,
        "soap (ours)": soap,
    }
    scores = []
    for name, method in methods.items():
        start = time.perf_counter()
        vectors = method(crystals)
        ms = 1e3 * (time.perf_counter() - start) / len(crystals)
        scores.append(mean_average_precision(vectors, labels))
        print(f"{name:28s} mAP {scores[-1]:.3f}  {vectors.shape[1]:4d} dims  {ms:6.2f} ms each")
    missed = (1 - max(scores[:-1])) / (1 - scores[-1])
    print(f"ours / best baseline: {scores[-1] / max(scores[:-1]):.3f} (misses {missed:.1f}× fewer)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
