import numpy as np
import pytest
import spglib
from ase.build import bulk, fcc111, molecule
from crystals import SAMPLE, example
from hypothesis import given, settings
from hypothesis import strategies as st

from nanoos.errors import SymmetryError
from nanoos.structures import Species, Structure, analyse, space_group


@pytest.mark.parametrize(
    "atoms",
    [
        bulk("Cu"),
        bulk("Mg"),
        bulk("Fe", cubic=True),
        bulk("Si", cubic=True) * (2, 1, 1),
        bulk("ZnS", "wurtzite", 3.82, 6.26),
        bulk("CsCl", "cesiumchloride", 4.12),
        bulk("NaCl", "rocksalt", 5.64),
    ],
    ids=lambda atoms: str(atoms.symbols),
)
@pytest.mark.parametrize("symprec_a", [0.01, 0.1])
def test_space_group_agrees_with_spglib(atoms, symprec_a):
    found = space_group(Structure.from_ase(atoms), symprec_a)
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    expected = spglib.get_symmetry_dataset(cell, symprec=symprec_a)
    assert (found.number, found.symprec_a) == (expected.number, symprec_a)
    # moyo writes screw axes as spglib does (P6_3mc), without spaces
    assert found.symbol == expected.international


def test_occupancies_count_as_kinds():
    """CsCl with two kinds of site on one element pair is not body-centred."""
    lattice = np.eye(3) * 3.0
    positions = np.array([[0, 0, 0], [1.5, 1.5, 1.5]])
    a, b = (Species(n, ("Cu", "Zn"), (c, 1 - c)) for n, c in (("a", 0.75), ("b", 0.25)))
    assert space_group(Structure(lattice, positions, (a, b), ("a", "b")), 0.01).number == 221
    twin = Species("b", ("Zn", "Cu"), (0.25, 0.75))  # the same content under another name
    assert space_group(Structure(lattice, positions, (a, twin), ("a", "b")), 0.01).number == 229


def test_failed_search_is_an_error():
    close = Structure.of(np.eye(3) * 4.0, [[0, 0, 0], [0, 0, 0.55]], ["Cu", "Cu"])
    with pytest.raises(SymmetryError, match=r"within 1\.0 Å"):
        space_group(close, 1.0)


def test_thousands_of_sites_are_analysed_without_symmetry():
    structure = Structure.from_ase(bulk("Cu", cubic=True) * (8, 8, 8))  # 2,048
    found = analyse(structure)
    assert found.space_group_strict is found.space_group_loose is None
    assert found.conventional_cell is found.protostructure is None
    assert found.volume_a3 == pytest.approx(structure.volume_a3)


def test_analysis_of_a_crystal():
    result = analyse(Structure.from_ase(bulk("NaCl", "rocksalt", 5.64, cubic=True)))
    assert (result.reduced_formula, result.anonymous_formula) == ("ClNa", "AB")
    assert (result.chemical_system, result.elements) == ("Cl-Na", ("Cl", "Na"))
    assert (result.n_sites, result.n_periodic, result.is_ordered) == (8, 3, True)
    assert result.space_group_strict.symbol == result.space_group_loose.symbol == "Fm-3m"
    assert result.density_g_per_cm3 == pytest.approx(2.164, abs=0.001)
    assert result.protostructure == "AB_cF8_225_a_b:Cl-Na"


def test_ratios_are_fractions_of_atoms_in_the_order_of_the_elements():
    result = analyse(Structure.from_ase(molecule("H2O")))
    assert dict(zip(result.elements, result.elements_ratios, strict=True)) == pytest.approx(
        {"H": 2 / 3, "O": 1 / 3}
    )
    alloy = Species("alloy", ("Cu", "Au", "vacancy"), (0.6, 0.2, 0.2))
    result = analyse(Structure(np.eye(3) * 3, np.zeros((1, 3)), (alloy,), ("alloy",)))
    assert result.elements == ("Au", "Cu")
    assert result.elements_ratios == pytest.approx((0.25, 0.75))


@pytest.mark.parametrize(
    ("atoms", "expected"),
    [
        (bulk("NaCl", "rocksalt", 5.64), (5.64, 5.64, 5.64, 90, 90, 90)),
        (bulk("Fe") * (2, 1, 3), (2.87, 2.87, 2.87, 90, 90, 90)),
        (bulk("ZnS", "wurtzite", 3.82, 6.26), (3.82, 3.82, 6.26, 90, 90, 120)),
    ],
    ids=["primitive", "supercell", "hexagonal"],
)
def test_conventional_cell_whatever_the_cell_given(atoms, expected):
    assert analyse(Structure.from_ase(atoms)).conventional_cell == pytest.approx(expected)


@pytest.mark.parametrize("atoms", [molecule("H2O"), fcc111("Cu", (1, 1, 2), vacuum=4.0)])
def test_no_space_group_volume_or_cell_without_three_directions(atoms):
    result = analyse(Structure.from_ase(atoms))
    assert result.space_group_strict is None
    assert result.volume_a3 is None
    assert result.density_g_per_cm3 is None
    assert result.conventional_cell is None
    assert result.protostructure is None


@pytest.mark.parametrize("length_a", [200.0, 1e4])
def test_a_long_cell_does_not_keep_the_search_busy(length_a):
    """moyo 0.21 does not end with it at 0.1 Å: too many vectors are as long as the longest."""
    structure = Structure.of(
        np.diag([2.5, 2.5, length_a]), [[0, 1.25, 0], [1.25, 1.25, 0]], ["Cu", "Cu"]
    )
    result = analyse(structure)
    assert result.space_group_strict.number == result.space_group_loose.number == 47
    assert result.protostructure == "A_oP1_47_a:Cu"


@given(
    name=st.sampled_from(SAMPLE),
    noise_a=st.sampled_from([0, 1e-5, 3e-4, 1e-3, 0.003, 0.01, 0.03]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40, deadline=None)
def test_what_was_found_loosely_is_taken_only_where_a_stricter_search_finds_it(name, noise_a, seed):
    crystal = example(name)
    noise = np.random.default_rng(seed).uniform(-noise_a, noise_a, crystal.positions_a.shape)
    stretched = np.eye(3) + np.random.default_rng(seed).uniform(-noise_a, noise_a, (3, 3)) / 30
    moved = Structure(
        crystal.lattice_a @ stretched,
        (crystal.positions_a + noise) @ stretched,
        crystal.species,
        crystal.species_at_sites,
    )
    assert analyse(moved).space_group_strict == space_group(moved, 0.01)
