import numpy as np
import pytest
from ase.build import bulk, fcc111, molecule
from hypothesis import assume, given
from hypothesis import strategies as st

from nanoos.errors import StructureError
from nanoos.structures import Species, Structure

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


def test_split_position_is_called_disorder():
    half = Species("Na", ("Na", "vacancy"), (0.5, 0.5))
    with pytest.raises(StructureError, match=r"disordered.*0\.300 Å"):
        Structure(CUBE, np.array([[0, 0, 0], [0, 0, 0.3]]), (half,), ("Na", "Na"))


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
