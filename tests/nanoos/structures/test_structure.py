from itertools import product

import numpy as np
import pytest
from ase.build import bulk, fcc111, molecule
from hypothesis import assume, given
from hypothesis import strategies as st

from nanoos.errors import StructureError
from nanoos.structures import Species, Structure
from nanoos.structures.geometry import crowded_pair

CUBE = np.eye(3) * 4.0


def test_density_of_silicon_is_the_one_from_ase_masses():
    atoms = bulk("Si", "diamond", 5.4307, cubic=True)
    structure = Structure.from_ase(atoms)
    grams = atoms.get_masses().sum() / 6.02214076e23
    assert structure.density_g_per_cm3 == pytest.approx(grams / (5.4307e-8) ** 3, rel=1e-6)
    assert structure.volume_a3 == pytest.approx(5.4307**3)


@pytest.mark.parametrize(
    "atoms",
    [bulk("NaCl", "rocksalt", 5.64), molecule("C6H6"), fcc111("Cu", (2, 2, 3), vacuum=5.0)],
    ids=["crystal", "molecule", "slab"],
)
def test_ase_and_back(atoms):
    structure = Structure.from_ase(atoms)
    again = structure.to_ase()
    assert again.get_chemical_formula() == atoms.get_chemical_formula()
    assert list(again.pbc) == list(atoms.pbc)
    np.testing.assert_array_equal(again.positions, atoms.positions)


def test_arrays_are_read_only_copies():
    positions = np.zeros((1, 3))
    structure = Structure.of(CUBE, positions, ["Cu"])
    positions[0] = 7
    assert structure.positions_a[0, 0] == 0
    for array in (structure.positions_a, structure.lattice_a):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1


def test_left_handed_cell_keeps_its_atoms_and_lattice():
    left = np.array([[0, 4.0, 0], [5.0, 0, 0], [0, 0, 6.0]])
    structure = Structure.of(left, [[1, 1, 1]], ["Cu"])
    assert structure.volume_a3 == pytest.approx(120)
    np.testing.assert_array_equal(structure.lattice_a, -left)
    np.testing.assert_array_equal(structure.positions_a, [[1, 1, 1]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Structure.of(CUBE, np.empty((0, 3)), []), "at least one site"),
        (lambda: Structure.of(CUBE, [[0, 0]], ["Cu"]), "shape"),
        (lambda: Structure.of(CUBE, [[0, 0, 0]], ["Cu", "Cu"]), "shape"),
        (lambda: Structure.of(CUBE, [[0, 0, np.inf]], ["Cu"]), "not finite"),
        (lambda: Structure.of(CUBE, [[0, 0, 1e9]], ["Cu"]), "beyond 1e6"),
        (lambda: Structure.of(CUBE * np.nan, [[0, 0, 0]], ["Cu"]), "not finite"),
        (lambda: Structure.of(np.ones((3, 3)), [[0, 0, 0]], ["Cu"]), "flat"),
        (lambda: Structure.of(CUBE, [[0, 0, 0]], ["Xx"]), "no known element"),
        (lambda: Structure.of(None, [[0, 0, 0]], ["X"]), "no known element"),
        (lambda: Structure.of(None, [[0, 0, 0]], ["Cu"], (True, True, True)), "needs lattice"),
        (
            lambda: Structure.of(CUBE, [[0.1, 0, 0], [3.9, 0, 0]], ["Cu", "O"]),
            r"Cu \(site 1\) and O \(site 2\) overlap: they are 0\.200 Å apart",
        ),
        (
            lambda: Structure.of(CUBE * [0.1, 1, 1], [[0, 0, 0]], ["Cu"]),
            r"Cu \(site 1\) is 0\.400 Å from its own periodic image",
        ),
        (
            lambda: Structure(CUBE, np.zeros((1, 3)), (Species("a", ("Cu",), (1.0,)),), ("b",)),
            "not defined, or unused",
        ),
        (lambda: Species("a", ("Cu", "Au"), (0.5, 0.6)), "add up to 1.100"),
        (lambda: Species("a", ("Cu",), (1.5,)), "not within 0..1"),
        (lambda: Species("a", ("Cu",), (float("nan"),)), "not within 0..1"),
        (lambda: Species("a", ("Cu", "Au"), (1.0,)), "one occupancy"),
        (lambda: Species("a", ("vacancy",), (1.0,)), "holds no element"),
    ],
)
def test_what_is_not_a_structure_is_refused(make, message):
    with pytest.raises(StructureError, match=message):
        make()


def split(*shares, lattice=CUBE):
    """Return sites along z, 0.3 Å apart, each partly occupied by an element of its own."""
    elements = ("Na", "K", "Rb")[: len(shares)]
    species = [
        Species(e, (e,) if x == 1 else (e, "vacancy"), (x,) if x == 1 else (x, 1 - x))
        for e, x in zip(elements, shares, strict=True)
    ]
    positions = np.outer(np.arange(len(shares)), [0, 0, 0.3])
    periodic = (lattice is not None,) * 3
    return Structure(lattice, positions, tuple(species), elements, periodic)


def test_split_position_is_kept_as_alternatives():
    structure = split(0.5, 0.5)
    assert structure.n_sites == 2
    assert not structure.is_ordered
    assert split(0.33, 0.34, 0.34).n_sites == 3  # rounded one by one
    assert split(0.5, 0.51, lattice=None).composition["K"] == 0.51


@pytest.mark.parametrize("shares", [(0.5, 0.6), (0.4, 0.4, 0.7), (0.05, 1.0)])
def test_sites_that_are_no_alternatives_overlap(shares):
    with pytest.raises(StructureError, match=r"overlap.*0\.300 Å apart and their occupancies add"):
        split(*shares)


def test_partly_occupied_site_and_its_own_image_are_no_alternatives():
    with pytest.raises(StructureError, match="own periodic image"):
        split(0.1, lattice=CUBE * [1, 1, 0.1])


def test_number_of_sites_is_limited():
    with pytest.raises(StructureError, match="100001 sites; at most 100000"):
        Structure.of(None, np.zeros((100_001, 3)), ["Cu"] * 100_001)


@given(
    shares=st.lists(st.floats(0.05, 0.95), min_size=4, max_size=4),
    where=st.lists(st.floats(0, 0.8), min_size=12, max_size=12),
    periodic=st.tuples(*[st.booleans()] * 3),
)
def test_crowded_pair_is_the_closest_of_all_that_are(shares, where, periodic):
    lattice, positions = np.eye(3) * 0.8, np.array(where).reshape(4, 3)
    steps = [[-1, 0, 1] if p else [0] for p in periodic]
    images = np.array(list(product(*steps))) @ lattice
    expected = [
        distance
        for i, j in product(range(4), range(4))
        for image in images
        if (i != j or image.any())
        and (distance := np.linalg.norm(positions[j] + image - positions[i])) < 0.3
        and (i == j or shares[i] + shares[j] > 1)
    ]
    pair = crowded_pair(lattice, positions, periodic, 0.3, np.array(shares))
    assert (pair is None) == (not expected)
    assert pair is None or pair.distance_a == pytest.approx(min(expected), abs=1e-12)


def test_disordered_structure_is_flagged_and_does_not_become_atoms():
    mixed = Species("site A", ("Cu", "Au"), (0.25, 0.75))
    structure = Structure(CUBE, np.zeros((1, 3)), (mixed,), ("site A",))
    assert not structure.is_ordered
    assert structure.composition == {"Au": 0.75, "Cu": 0.25}
    with pytest.raises(StructureError, match="disordered"):
        structure.to_ase()


def test_a_repeating_direction_needs_its_vector():
    atoms = fcc111("Cu", (2, 2, 3))  # without vacuum the third vector is zero
    assert Structure.from_ase(atoms).n_periodic == 2
    atoms.pbc = True
    with pytest.raises(StructureError, match="no lattice vector"):
        Structure.from_ase(atoms)


@given(
    cell=st.lists(st.floats(-6, 6), min_size=9, max_size=9),
    where=st.lists(st.floats(-3, 3), min_size=9, max_size=9),
)
def test_distances_agree_with_ase(cell, where):
    """Whatever the cell's shape, the verdict is the one of ASE's neighbour list."""
    from ase import Atoms
    from ase.neighborlist import neighbor_list

    from nanoos.structures.geometry import cell_heights, closest_pair

    lattice = np.array(cell).reshape(3, 3)
    assume(cell_heights(lattice).min() > 0.2)
    positions = np.array(where).reshape(3, 3)
    pair = closest_pair(lattice, positions, (True, True, True), 0.5)
    nearest = min(
        [*neighbor_list("d", Atoms("Cu3", positions, cell=lattice, pbc=True), 0.6), np.inf]
    )
    assume(abs(nearest - 0.5) > 1e-9)  # at the limit itself the last bit decides
    if nearest > 0.5:
        assert pair is None
    else:
        assert pair is not None
        assert pair.distance_a == pytest.approx(nearest, abs=1e-9)
