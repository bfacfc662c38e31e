"""Readers of CIFs: this project's, pymatgen and ASE, all with the same result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nanoos.parsers import read

Array = NDArray[np.float64]


class Crystal(NamedTuple):
    """What readers are compared by: the cell, the sites, and what occupies each."""

    lattice_a: Array
    fractional: Array
    contents: list[str]
    composition: dict[str, float]


def by_nanoos(path: Path) -> Crystal:
    """Read with this project."""
    structure = read(path)[0].structure
    assert structure.lattice_a is not None
    contents, composition = [], Counter[str]()
    for species in structure.site_species:
        filled = max(1.0, sum(species.occupancy.values()))
        shares = {element: share / filled for element, share in species.occupancy.items()}
        contents.append(content(shares))
        composition.update(shares)
    return Crystal(structure.lattice_a, structure.fractional, contents, dict(composition))


def by_pymatgen(path: Path, site_tolerance: float = 1e-4) -> Crystal:
    """Read with pymatgen, its check of occupancies set to ours; the tolerance is its default."""
    from pymatgen.core import DummySpecies
    from pymatgen.io.cif import CifParser

    parser = CifParser(path, occupancy_tolerance=1.02, site_tolerance=site_tolerance)
    structure = parser.parse_structures(primitive=False, on_error="raise")[0]
    contents, composition = [], Counter[str]()
    for site in structure:
        shares: dict[str, float] = {}
        for species, share in site.species.items():
            if isinstance(species, DummySpecies):
                raise ValueError(f"{species} is no element")
            element = "H" if species.symbol == "D" else species.symbol
            shares[element] = shares.get(element, 0) + share
        contents.append(content(shares))
        composition.update(shares)
    return Crystal(
        np.array(structure.lattice.matrix), structure.frac_coords, contents, dict(composition)
    )


def by_ase(path: Path) -> Crystal:
    """Read with ASE."""
    import ase.io

    atoms = ase.io.read(path, format="cif")
    occupancy = atoms.info.get("occupancy")
    kinds = atoms.arrays.get("spacegroup_kinds")
    contents, composition = [], Counter[str]()
    for k, symbol in enumerate(atoms.symbols):
        shares = {symbol: 1.0} if occupancy is None else occupancy[str(kinds[k])]
        contents.append(content(shares))
        composition.update(shares)
    return Crystal(atoms.cell.array, atoms.get_scaled_positions(), contents, dict(composition))


READERS: dict[str, Callable[[Path], Crystal]] = {
    "pymatgen": by_pymatgen,
    "pymatgen, 0.01": partial(by_pymatgen, site_tolerance=0.01),
    "ASE": by_ase,
}


def content(shares: dict[str, float]) -> str:
    """Return what occupies a site as text, shares to a hundredth."""
    return " ".join(f"{e}{min(x, 1):.2f}" for e, x in sorted(shares.items()) if x > 0)
