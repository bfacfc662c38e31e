from itertools import combinations

import numpy as np
import pytest
from ase.build import bulk, fcc111, molecule, nanotube
from crystals import SAMPLE, crystals, described_anew, example, mirrored, repeated
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.transform import Rotation

from nanoos.errors import StructureError
from nanoos.structures import Species, Structure, fingerprint
from nanoos.structures.fingerprint import EDGE_OFFSET
from nanoos.structures.matching import Tolerances, distance, near_duplicates
from nanoos.structures.primitive import EXACT_A

SLOW = settings(max_examples=25, deadline=None)


@st.composite
def displaced(draw, structure, most_a=0.05):
    """The structure with each site displaced, and how far, root mean square."""
    moves = draw(hnp.arrays(float, (structure.n_sites, 3), elements=st.floats(-most_a, most_a)))
    moves -= moves.mean(axis=0)
    return with_positions(structure, structure.positions_a + moves), rms(moves)


def with_positions(structure, positions, lattice=None):
    return Structure(
        structure.lattice_a if lattice is None else lattice,
        positions,
        structure.species,
        structure.species_at_sites,
        structure.periodic,
    )


def strained(structure, deformation):
    return with_positions(
        structure, structure.positions_a @ deformation, structure.lattice_a @ deformation
    )


def rms(moves):
    return float(np.sqrt((moves**2).sum(axis=1).mean()))


# The distance


@SLOW
@given(st.data())
def test_it_is_the_displacement_whatever_the_description(data):
    structure = example(data.draw(st.sampled_from(SAMPLE)))
    other, moved_a = data.draw(displaced(structure))
    expected = distance(structure, other)
    assert 0 <= expected.rms_a <= moved_a + 1e-9
    assert expected.rms_a <= expected.max_a
    assert distance(other, structure) == expected
    again = distance(data.draw(described_anew(structure)), data.draw(described_anew(other)))
    assert again.rms_a == pytest.approx(expected.rms_a, abs=2 * EXACT_A)
    assert again.strain == pytest.approx(expected.strain, abs=1e-6)


@SLOW
@given(st.data())
def test_it_is_symmetric_also_between_different_structures(data):
    pool = [example(name) for name in ("quartz", "cristobalite", "coesite", "stishovite")]
    pool += [strained(s, np.diag([1, 1, stretch])) for s in pool for stretch in (0.99, 1.05)]
    pool += [mirrored(s) for s in pool]
    one, other = (data.draw(st.sampled_from(pool)) for _ in range(2))
    assert distance(one, other) == distance(other, one)


def test_a_distorted_supercell_is_near_its_ideal():
    ideal = Structure.from_ase(bulk("NaCl", "rocksalt", 5.64))
    large = repeated(ideal, np.diag([1, 2, 2]))
    moves = np.array([[0.06, 0, 0], [-0.06, 0, 0], [0, 0.06, 0], [0, -0.06, 0]] * 2)
    found = distance(ideal, with_positions(large, large.positions_a + moves))
    assert (found.rms_a, found.max_a) == pytest.approx((0.06, 0.06), abs=1e-6)
    assert found == distance(with_positions(large, large.positions_a + moves), ideal)


@pytest.mark.parametrize(
    ("deformation", "strain"),
    [
        (np.eye(3) * 1.02, np.log(1.02)),
        (np.eye(3) * 0.96, None),
        (np.diag([1.02, 1 / 1.02, 1.0]), np.log(1.02)),
        (np.array([[1, 0.02, 0], [0.02, 1, 0], [0, 0, 1]]), -np.log(0.98)),
        (np.array([[1, 0.05, 0], [0.05, 1, 0], [0, 0, 1]]), None),
    ],
    ids=["2 % larger", "4 % smaller", "longer and thinner", "sheared", "sheared too far"],
)
@pytest.mark.parametrize("name", ["rutile", "quartz", "diopside"])
def test_the_strain_is_told_apart_from_displacements(name, deformation, strain):
    structure = example(name)
    found = distance(structure, strained(structure, deformation))
    if strain is None:
        assert found is None
    else:
        assert found.strain == pytest.approx(strain, rel=1e-6)
        assert found.rms_a == pytest.approx(0, abs=1e-6)


def test_a_site_farther_away_than_the_tolerance_is_no_match():
    structure = example("forsterite")
    positions = structure.positions_a.copy()
    positions[0, 0] += 0.4
    moved = with_positions(structure, positions)
    assert distance(structure, moved) is None
    found = distance(structure, moved, Tolerances(site_a=0.5))
    assert found.max_a == pytest.approx(0.4 * (1 - 1 / structure.n_sites), rel=1e-3)


def test_elements_are_not_exchanged():
    rock_salt = Structure.from_ase(bulk("NaCl", "rocksalt", 5.64))
    assert distance(rock_salt, Structure.from_ase(bulk("NaF", "rocksalt", 5.64))) is None
    assert distance(rock_salt, Structure.from_ase(bulk("NaCl", "zincblende", 5.64))) is None
    turned = Structure.from_ase(bulk("ClNa", "rocksalt", 5.64))  # the same, begun at chlorine
    assert distance(rock_salt, turned).rms_a == pytest.approx(0, abs=1e-9)


def test_occupancies_agree_within_their_tolerance():
    def alloy(gold, silver=0.0):
        names, shares = ["Cu", "Au"], [1 - gold - silver, gold]
        if silver:
            names, shares = [*names, "Ag"], [*shares, silver]
        species = Species("site", tuple(names), tuple(shares))
        return Structure(np.eye(3) * 3.8, np.zeros((1, 3)), (species,), ("site",))

    assert distance(alloy(0.50), alloy(0.54)).rms_a == 0
    assert distance(alloy(0.50), alloy(0.56)) is None
    assert distance(alloy(0.50), alloy(0.50, silver=0.04)) is not None
    assert distance(alloy(0.50), alloy(0.50, silver=0.06)) is None


def test_mirror_images_are_kept_apart():
    quartz, rutile = example("quartz"), example("rutile")
    assert distance(quartz, mirrored(quartz)) is None
    assert distance(rutile, mirrored(rutile)).rms_a == pytest.approx(0, abs=1e-6)
    bromochlorofluoromethane = molecule("CH4")
    bromochlorofluoromethane.symbols[2:] = ["F", "Cl", "Br"]
    one = Structure.from_ase(bromochlorofluoromethane)
    bromochlorofluoromethane.positions[:, 0] *= -1
    other = Structure.from_ase(bromochlorofluoromethane)
    assert distance(one, one) is not None
    assert distance(one, other) is None


# Slabs, wires and molecules

FINITE = {
    "molecule": molecule("CH3CH2OH"),
    "ring": molecule("C6H6"),
    "rod": molecule("CO2"),
    "atom": molecule("H"),
    "wire": nanotube(4, 0, length=1),
    "chain": nanotube(3, 3, length=2),
    "slab": fcc111("Cu", (1, 2, 3), vacuum=5.0),
}


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1))
@pytest.mark.parametrize("name", FINITE)
def test_what_is_not_a_crystal_may_be_turned_and_shifted_too(name, seed):
    random = np.random.default_rng(seed)
    atoms = FINITE[name]
    moves = random.uniform(-0.04, 0.04, (len(atoms), 3))
    other = atoms.copy()
    other.positions += moves
    turn = Rotation.random(rng=random).as_matrix()
    other.positions = (other.positions + random.uniform(-9, 9, 3)) @ turn
    other.cell = other.cell.array @ turn
    other = other[random.permutation(len(other))]
    one, other = Structure.from_ase(atoms), Structure.from_ase(other)
    found = distance(one, other)
    assert found.rms_a <= rms(moves - moves.mean(axis=0)) + 1e-9
    assert distance(other, one) == found


def test_a_supercell_of_a_slab_or_wire_is_the_same():
    for name, size in (("slab", (2, 1, 1)), ("wire", (1, 1, 3))):
        atoms = FINITE[name]
        found = distance(Structure.from_ase(atoms), Structure.from_ase(atoms * size))
        assert found.rms_a == pytest.approx(0, abs=1e-6), name


def test_other_shapes_of_one_formula_do_not_match():
    three, four = (Structure.from_ase(fcc111("Cu", (1, 1, n), vacuum=5.0)) for n in (3, 4))
    assert distance(three, four) is None
    assert distance(three, Structure.from_ase(bulk("Cu"))) is None
    ether, alcohol = (Structure.from_ase(molecule(n)) for n in ("CH3OCH3", "CH3CH2OH"))
    assert distance(ether, alcohol) is None


def test_thousands_of_sites_are_refused():
    large = Structure.from_ase(bulk("Cu", cubic=True) * (8, 8, 8))
    with pytest.raises(StructureError, match="2048 sites are too many"):
        distance(large, large)
    assert list(near_duplicates([large, large])) == []


# Where rounding parts two fingerprints


def test_a_cell_that_is_hardly_turned_is_not_strained_to_fit_better():
    """a and c are alike but for 3 %, and a mirror holds but for 4e-6 Å."""
    shifted = Structure.of(np.diag([8.75, 5, 9]), [[4.13e-6, 0, 0], [0, 1.25, 0]], ["Si", "O"])
    found = distance(shifted, shifted)
    assert found is not None
    assert found.strain < 1e-9


@SLOW
@given(crystals(), st.integers(0, 2), st.sampled_from([1, -1]))
def test_it_catches_what_a_rounding_edge_parts(structure, axis, side):
    """Two coordinates 1e-9 apart, an edge between them: two fingerprints, hardly a distance."""
    edge = (np.floor(structure.fractional[0, axis] * 1e6) + 1 - EDGE_OFFSET) * 1e-6
    pair = []
    for offset in (side * 5e-10, -side * 5e-10):
        fractional = structure.fractional.copy()
        fractional[0, axis] = edge + offset
        pair.append(with_positions(structure, fractional @ structure.lattice_a))
    assert fingerprint(pair[0]) != fingerprint(pair[1])
    found = distance(*pair)
    assert found is not None
    assert found.max_a < 2 * EXACT_A
    assert found.strain < 1e-9


@SLOW
@given(crystals(), st.data())
def test_noise_is_caught_by_one_tier_or_the_other(structure, data):
    noise = hnp.arrays(float, (structure.n_sites, 3), elements=st.floats(-1e-9, 1e-9))
    lengths = data.draw(hnp.arrays(float, 3, elements=st.floats(-1e-9, 1e-9)))
    lattice = structure.lattice_a * (1 + lengths)
    other = with_positions(structure, (structure.fractional + data.draw(noise)) @ lattice, lattice)
    if fingerprint(other) != fingerprint(structure):
        assert distance(structure, other).max_a < 2 * EXACT_A


# Searching many


@settings(max_examples=10, deadline=None)
@given(st.data())
def test_a_search_finds_the_pairs_that_comparing_all_finds(data):
    names = ("quartz", "stishovite", "coesite", "calcite", "halite", "gold")
    originals = [example(name) for name in data.draw(st.permutations(names))[:4]]
    structures = list(originals)
    for structure in originals:
        scale = data.draw(st.floats(0.97, 1.03))
        structures.append(data.draw(displaced(strained(structure, np.eye(3) * scale), 0.1))[0])
    structures += [
        Structure.from_ase(FINITE[name])
        for name in data.draw(st.lists(st.sampled_from(list(FINITE)), max_size=6))
    ]
    found = {(pair.one, pair.other): pair.match for pair in near_duplicates(structures)}
    expected = {
        (i, j): match
        for (i, one), (j, other) in combinations(enumerate(structures), 2)
        if (match := distance(one, other)) is not None
    }
    assert found == expected


def test_nothing_is_found_among_different_crystals():
    crystals = [example(name) for name in ("quartz", "stishovite", "coesite", "cristobalite")]
    assert list(near_duplicates(crystals)) == []
