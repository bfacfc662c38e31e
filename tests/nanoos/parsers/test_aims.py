"""FHI-aims's geometry.in, as ASE writes it and as people do."""

import warnings

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from hypothesis import given, settings
from hypothesis import strategies as st

from nanoos.errors import ParseError
from nanoos.parsers import Source, read, read_source
from nanoos.structures import Structure, fingerprint


def one(text):
    (parsed,) = read_source(Source.of_text(text, "geometry.in"))
    return parsed.structure


def write(path, atoms, **options):
    """Write as ASE does, which warns that its writer will move to a package of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ase.io.write(path, atoms, format="aims", **options)
    return path


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("atoms", [bulk("NaCl", "rocksalt", 5.64), bulk("Ti")])
def test_crystal_of_ase_comes_back(atoms, scaled, tmp_path):
    (parsed,) = read(write(tmp_path / "geometry.in", atoms, scaled=scaled))
    assert parsed.source_format == "aims"
    assert fingerprint(parsed.structure) == fingerprint(Structure.from_ase(atoms))


def test_molecule_of_ase_comes_back_without_a_cell(tmp_path):
    (parsed,) = read(write(tmp_path / "water.txt", molecule("H2O")))  # known by its content
    assert parsed.source_format == "aims"
    assert parsed.structure.periodic == (False, False, False)
    assert parsed.structure.symbols == ["O", "H", "H"]


def test_a_cell_repeats_in_all_directions_as_fhi_aims_has_it(tmp_path):
    slab = fcc111("Cu", (1, 1, 3), vacuum=6.0)
    slab.pbc = True
    (parsed,) = read(write(tmp_path / "geometry.in", slab))
    assert parsed.structure.periodic == (True, True, True)


@settings(max_examples=25, deadline=None)
@given(
    numbers=st.lists(st.integers(1, 102), min_size=1, max_size=6), seed=st.integers(0, 2**32 - 1)
)
def test_any_crystal_of_ase_comes_back(numbers, seed, tmp_path_factory):
    chance = np.random.default_rng(seed)
    cell = np.diag([5.0, 6.0, 7.0]) + chance.uniform(-0.5, 0.5, (3, 3))
    grid = np.arange(len(numbers))[:, None] / len(numbers)
    atoms = Atoms(numbers, scaled_positions=np.hstack([grid] * 3), cell=cell, pbc=True)
    (parsed,) = read(write(tmp_path_factory.mktemp("any") / "geometry.in", atoms))
    np.testing.assert_allclose(parsed.structure.lattice_a, cell, atol=1e-8)
    np.testing.assert_allclose(parsed.structure.positions_a, atoms.positions, atol=1e-8)
    assert parsed.structure.symbols == list(atoms.symbols)


BY_HAND = """# relaxed
lattice_vector 4.0d0 0. 0.   # a
lattice_vector 0.0 4.0 0.0
lattice_vector 0.0 0.0 4.0
atom_frac 0.5 0.5 0.5 Cs
  initial_moment 1.0
atom 0 0 0 Cl1   # both kinds of position may be used
  constrain_relaxation .true.
empty 1 1 1 Cl
"""


def test_what_people_write():
    structure = one(BY_HAND)
    assert structure.symbols == ["Cs", "Cl"]
    np.testing.assert_allclose(structure.positions_a, [[2, 2, 2], [0, 0, 0]])


@pytest.mark.parametrize(
    ("old", "new", "message", "line"),
    [
        ("4.0d0 0. 0. ", "4.0d0 0.", "Expected three numbers", 2),
        ("0.5 0.5 0.5", "0.5 half 0.5", "Expected three numbers", 5),
        ("Cl1", "Xx", "Expected the element", 7),
        ("0 0 0 Cl1", "0 0 0", "Expected the element", 7),
        ("lattice_vector 0.0 4.0 0.0\n", "", "three lattice vectors or none, not 2", None),
        ("0 0 0 Cl1", "0 0 nan Cl1", "not finite", None),
    ],
)
def test_what_is_wrong_is_said(old, new, message, line):
    with pytest.raises(ParseError, match=message) as caught:
        one(BY_HAND.replace(old, new, 1))
    assert caught.value.line == line


def test_fractions_need_a_cell():
    with pytest.raises(ParseError, match="needs lattice vectors"):
        one("atom_frac 0 0 0 C\n")


def test_no_atom():
    with pytest.raises(ParseError, match="no atom"):
        one(BY_HAND.replace("atom", "#"))
