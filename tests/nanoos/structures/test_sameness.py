import numpy as np
from ase.build import bulk, molecule
from crystals import build, crystals
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.transform import Rotation

from nanoos.structures import Structure, sameness
from nanoos.structures.sameness import PRINTED_A, is_same_geometry, same_geometries


@given(crystals(), st.data())
def test_what_differs_by_digits_order_and_rotation_is_the_same(structure, data):
    n = structure.n_sites
    order = data.draw(st.permutations(range(n)))
    shifts = data.draw(hnp.arrays(np.int64, (n, 3), elements=st.integers(-3, 3)))
    noise_a = data.draw(hnp.arrays(float, (n, 3), elements=st.floats(-0.5, 0.5))) * PRINTED_A
    turn = Rotation.random(rng=data.draw(st.integers(0, 2**32 - 1))).as_matrix()
    lattice = structure.lattice_a @ turn.T
    positions = (structure.fractional + shifts) @ lattice + noise_a
    names = [structure.species_at_sites[i] for i in order]
    other = build(lattice, positions[list(order)], names)
    assert is_same_geometry(structure, other)

    moved_a = np.zeros((n, 3))
    moved_a[data.draw(st.integers(0, n - 1))] = [0, 0, 10 * PRINTED_A]
    moved = build(lattice, (positions + moved_a)[list(order)], names)
    assert not is_same_geometry(structure, moved)
    strained = build(1.0001 * lattice, 1.0001 * positions[list(order)], names)
    assert list(same_geometries([moved, structure], [strained, other])) == [(1, 1)]


def test_molecules_may_be_shifted_and_elements_count():
    water = Structure.from_ase(molecule("H2O"))
    shifted = Structure.of(None, water.positions_a[::-1] + 3.0, water.symbols[::-1])
    assert is_same_geometry(water, shifted)
    other = Structure.of(None, water.positions_a, ["S", "H", "H"])
    assert list(same_geometries([other, water], [shifted])) == [(1, 0)]


def test_other_ways_to_fill_the_same_sites_are_not_compared_site_by_site(monkeypatch):
    cell = bulk("Cu", cubic=True) * (2, 2, 2)
    random = np.random.default_rng(7)
    kinds = ["Cu"] * 16 + ["Au"] * 16
    filled = [
        Structure.of(cell.cell.array, cell.positions, list(random.permutation(kinds)))
        for _ in range(30)
    ]
    compared = []

    def counted(one, other):
        compared.append(one)
        return is_same_geometry(one, other)

    monkeypatch.setattr(sameness, "is_same_geometry", counted)
    assert list(same_geometries(filled, filled)) == [(i, i) for i in range(30)]
    assert len(compared) < 60
