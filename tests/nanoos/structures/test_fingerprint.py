import numpy as np
from ase.build import bulk, fcc111, molecule
from ase.cell import Cell
from crystals import KINDS, build, crystals
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.transform import Rotation

from nanoos.structures import Species, Structure, fingerprint
from nanoos.structures.fingerprint import EDGE_OFFSET
from nanoos.structures.geometry import wrapped


@given(crystals(), st.data())
def test_same_content_same_fingerprint(structure, data):
    """Order, lattice translations, orientation, handedness and labels are not content."""
    n = structure.n_sites
    order = data.draw(st.permutations(range(n)))
    shifts = data.draw(hnp.arrays(np.int64, (n, 3), elements=st.integers(-3, 3)))
    turn = Rotation.random(rng=data.draw(st.integers(0, 2**32 - 1))).as_matrix()
    sign = data.draw(st.sampled_from([1, -1]))
    assume(not near_an_edge(structure))

    lattice = structure.lattice_a @ turn.T
    positions = (structure.fractional + shifts) @ lattice
    renamed = tuple(Species(f"my {k.name}", k.chemical_symbols, k.concentration) for k in KINDS)
    names = [f"my {structure.species_at_sites[i]}" for i in order]
    other = build(sign * lattice, positions[list(order)], names, renamed)
    assert fingerprint(other) == fingerprint(structure)


@given(crystals(), st.data())
def test_order_translations_and_wrapping_never_matter(structure, data):
    """Nothing but rounding in the last bit of a float stands between the two."""
    n = structure.n_sites
    order = data.draw(st.permutations(range(n)))
    shifts = data.draw(hnp.arrays(np.int64, (n, 3), elements=st.integers(-3, 3)))
    fractional = wrapped(structure.fractional, structure.periodic) + shifts
    positions = (fractional @ structure.lattice_a)[order]
    names = [structure.species_at_sites[i] for i in order]
    assert fingerprint(build(structure.lattice_a, positions, names)) == fingerprint(structure)


def near_an_edge(structure):
    """Whether noise of 1e-9 could move one of the rounded numbers into the next interval."""
    lengths = np.linalg.norm(structure.lattice_a, axis=1)
    angles = Cell(structure.lattice_a).angles()
    numbers = np.concatenate([lengths * 1e5, angles * 1e4, np.ravel(structure.fractional) * 1e6])
    edge = (numbers + EDGE_OFFSET) % 1
    return bool(np.any(np.minimum(edge, 1 - edge) < 0.01))


@given(crystals(), st.integers(0, 2), st.sampled_from([1e-3, -1e-3]))
def test_moving_an_atom_changes_it(structure, axis, step):
    positions = structure.positions_a.copy()
    positions[0, axis] += step
    moved = Structure(structure.lattice_a, positions, structure.species, structure.species_at_sites)
    assert fingerprint(moved) != fingerprint(structure)


@given(crystals())
def test_changing_a_species_changes_it(structure):
    changed = tuple(Species(k.name, ("Xe",), (0.9,)) for k in structure.species)
    other = Structure(
        structure.lattice_a, structure.positions_a, changed, structure.species_at_sites
    )
    assert fingerprint(other) != fingerprint(structure)


def test_noise_at_the_cell_edge_and_at_short_fractions():
    """0.999999999 and 0 are one coordinate; common coordinates are not on a rounding edge."""
    lattice = np.eye(3) * 5.43
    values = [
        0.0,
        0.5,
        0.25,
        0.125,
        1 / 16,
        1 / 32,
        1 / 64,
        1 / 128,
        1 / 3,
        2 / 3,
        1 / 6,
        0.1234565,
    ]
    for x in values:
        exact = Structure.of(lattice, np.array([[x, x, x]]) @ lattice, ["Si"])
        for noise in (1e-9, -1e-9):
            near = Structure.of(lattice, np.array([[x + noise] * 3]) @ lattice, ["Si"])
            assert fingerprint(near) == fingerprint(exact), x


def test_an_explicit_vacancy_says_no_more_than_a_missing_occupancy():
    lattice = np.eye(3) * 5
    one = build(lattice, np.zeros((1, 3)), ["a"], (Species("a", ("Na",), (0.4,)),))
    two = build(lattice, np.zeros((1, 3)), ["a"], (Species("a", ("vacancy", "Na"), (0.6, 0.4)),))
    assert fingerprint(one) == fingerprint(two)


def test_directions_that_repeat_are_content():
    atoms = bulk("Cu", cubic=True)
    full = Structure.from_ase(atoms)
    atoms.pbc = (True, True, False)
    assert fingerprint(Structure.from_ase(atoms)) != fingerprint(full)


def test_slab_wraps_only_where_it_repeats():
    atoms = fcc111("Cu", (1, 1, 3), vacuum=5.0)
    slab = Structure.from_ase(atoms)
    along, across = atoms.copy(), atoms.copy()
    along.positions[0] += atoms.cell[0]
    across.positions += atoms.cell[2]
    assert fingerprint(Structure.from_ase(along)) == fingerprint(slab)
    assert fingerprint(Structure.from_ase(across)) != fingerprint(slab)


@settings(max_examples=20)
@given(hnp.arrays(float, 3, elements=st.floats(-50, 50)), st.permutations(range(9)))
def test_molecule_may_be_shifted_and_reordered(shift, order):
    atoms = molecule("CH3CH2OH")
    moved = atoms[list(order)]
    moved.positions += shift
    assert fingerprint(Structure.from_ase(moved)) == fingerprint(Structure.from_ase(atoms))


def test_mirror_images_of_a_molecule_differ():
    atoms = molecule("CH3CH2OH")
    mirrored = atoms.copy()
    mirrored.positions[:, 0] *= -1
    mirrored.positions[:, 1] += 0.3 * mirrored.positions[:, 0]
    assert fingerprint(Structure.from_ase(mirrored)) != fingerprint(Structure.from_ase(atoms))


def test_the_canonical_form_is_frozen():
    """Stored fingerprints stay valid: a change here needs a new FINGERPRINT_VERSION."""
    rock_salt = Structure.from_ase(bulk("NaCl", "rocksalt", 5.64))
    assert fingerprint(rock_salt) == (
        "a267e7b52a446e77ee225646662927e87a860fecda0299ee0f86fcd67b751383"
    )
