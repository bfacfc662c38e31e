"""All distances between atoms, as ASE reads and measures them; bench/corpus.py asks more files."""

import random
import re
from io import StringIO
from itertools import combinations_with_replacement
from pathlib import Path

import ase.io
import numpy as np
import pytest

from nanoos.parsers import read

EXAMPLES = Path(__file__).parents[3] / "examples" / "crystals"
FORMATS = {".cif": "cif", ".poscar": "vasp", ".extxyz": "extxyz"}
ORDERED = [
    path for path in sorted(EXAMPLES.iterdir()) if "_atom_site_occupancy" not in path.read_text()
]
SAMPLE = random.Random(5).sample(ORDERED, 30)


@pytest.mark.parametrize("path", SAMPLE, ids=lambda path: path.stem)
def test_composition_cell_and_distances_agree_with_ase(path):
    ours = read(path)[0].structure.to_ase()
    # ASE lacks many settings; without the name of this one it takes the operators as they are.
    text = re.sub(
        r"_symmetry_space_group_name.*", "_symmetry_Int_Tables_number 1", path.read_text()
    )
    theirs = ase.io.read(StringIO(text), format=FORMATS[path.suffix])
    assert ours.get_chemical_formula() == theirs.get_chemical_formula()
    np.testing.assert_allclose(ours.cell.cellpar(), theirs.cell.cellpar(), atol=1e-6)
    tables = [atoms.get_all_distances(mic=True) for atoms in (ours, theirs)]
    symbols = [np.array(atoms.symbols) for atoms in (ours, theirs)]
    for pair in combinations_with_replacement(sorted(set(symbols[0])), 2):
        found = [
            np.sort(table[np.ix_(names == pair[0], names == pair[1])].ravel())
            for table, names in zip(tables, symbols, strict=True)
        ]
        np.testing.assert_allclose(found[0], found[1], atol=1e-3, err_msg=str(pair))
