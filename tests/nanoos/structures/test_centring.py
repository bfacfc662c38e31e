"""Centred cells are made primitive, and say the same of their crystal."""

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given
from hypothesis import strategies as st

from nanoos.structures import Species, Structure, analyse, point_group
from nanoos.structures import symmetry as of_symmetry
from nanoos.structures.centring import primitive_part
from nanoos.structures.geometry import signed_volume_a3

LATTICE = np.array([[5.0, 0.1, 0.2], [-2.4, 6.0, 0.3], [0.7, 0.4, 7.0]])
THIRD, HALF = 1 / 3, 1 / 2
POINTS = {
    "P": [(0, 0, 0)],
    "A": [(0, 0, 0), (0, HALF, HALF)],
    "B": [(0, 0, 0), (HALF, 0, HALF)],
    "C": [(0, 0, 0), (HALF, HALF, 0)],
    "I": [(0, 0, 0), (HALF, HALF, HALF)],
    "F": [(0, 0, 0), (0, HALF, HALF), (HALF, 0, HALF), (HALF, HALF, 0)],
    "R": [(0, 0, 0), (2 * THIRD, THIRD, THIRD), (THIRD, 2 * THIRD, 2 * THIRD)],
    "R, reverse": [(0, 0, 0), (THIRD, 2 * THIRD, THIRD), (2 * THIRD, THIRD, 2 * THIRD)],
}


def centred(letter, motif, shuffled=()):
    """Return the coordinates of a motif at each lattice point, and which site of it each is."""
    sites = [
        (np.array(site) + point, kind)
        for kind, site in enumerate(motif)
        for point in POINTS[letter]
    ]
    order = sorted(range(len(sites)), key=lambda i: shuffled[i] if i < len(shuffled) else 0)
    return np.array([sites[i][0] for i in order]), [sites[i][1] for i in order]


coordinate = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize("letter", POINTS)
@given(
    motif=st.lists(st.tuples(coordinate, coordinate, coordinate), min_size=1, max_size=5),
    order=st.lists(st.integers(0, 99), max_size=20),
    shift=st.integers(-2, 2),
)
def test_one_site_of_each_orbit_is_left_at_its_place(letter, motif, order, shift):
    fractional, kinds = centred(letter, motif, order)
    lattice, places, left = primitive_part(LATTICE, fractional + shift, kinds)
    n_points = len(POINTS[letter])
    assert len(left) * n_points == len(kinds)
    assert sorted(left) == sorted(range(len(motif)))
    assert signed_volume_a3(lattice) * n_points == pytest.approx(signed_volume_a3(LATTICE))
    whole = LATTICE @ np.linalg.inv(lattice)  # the old vectors are lattice vectors of the new
    assert np.abs(whole - np.rint(whole)).max() < 1e-9
    for place, kind in zip(places @ lattice @ np.linalg.inv(LATTICE), left, strict=True):
        apart = np.array(motif[kind]) + POINTS[letter] - place
        assert np.abs(apart - np.rint(apart)).max(axis=1).min() < 1e-9


def test_what_is_nearly_centred_is_left_as_it_is():
    fractional, kinds = centred("C", [(0.1, 0.2, 0.3), (0.4, 0.7, 0.1)])
    fractional[1, 2] += 1e-7
    lattice, places, left = primitive_part(LATTICE, fractional, kinds)
    assert lattice is LATTICE
    assert places is fractional
    assert left is kinds


def test_other_kinds_at_the_lattice_points_are_no_centring():
    fractional, _ = centred("I", [(0, 0, 0), (0.3, 0.3, 0.3)])
    kinds = [0, 1, 2, 2]
    assert primitive_part(LATTICE, fractional, kinds)[2] is kinds


CENTRED = {
    "fluorite": (np.eye(3) * 5.46, "F", [(0, 0, 0), (0.25,) * 3, (0.75,) * 3], ["Ca", "F", "F"]),
    "tungsten": (np.eye(3) * 3.16, "I", [(0, 0, 0)], ["W"]),
    "sheared": (LATTICE, "C", [(0.1, 0.2, 0.3), (0.4, 0.7, 0.1)], ["Na", "Cl"]),
    "calcite's cations": (
        np.array([[4.99, 0, 0], [-2.495, 2.495 * 3**0.5, 0], [0, 0, 17.06]]),
        "R",
        [(0, 0, 0), (0, 0, 0.5)],
        ["Ca", "C"],
    ),
}


@pytest.mark.parametrize(("repeats", "order"), [((2, 2, 1), 24), ((2, 2, 2), 24), ((3, 3, 3), 24)])
def test_rotations_are_those_of_the_supercell_as_it_is_given(repeats, order):
    """Its translations look like a centring, whose primitive cell has other rotations."""
    magnesium = bulk("Mg").repeat(repeats)
    assert len(point_group(Structure.from_ase(magnesium), 0.001)) == order


def test_cells_with_split_positions_are_searched_as_they_are(monkeypatch):
    """Atoms nearly at one place would be told apart in another way."""
    half = Species("Na0.5", ("Na", "vacancy"), (0.5, 0.5))
    fractional, _ = centred("C", [(0.1, 0.2, 0.3), (0.1, 0.2, 0.33)])
    structure = Structure.of_site_species(LATTICE, fractional @ LATTICE, [half] * 4)
    assert structure.is_split
    monkeypatch.setattr(of_symmetry, "primitive_part", None)
    assert analyse(structure).space_group_loose is not None


@pytest.mark.parametrize("name", CENTRED)
def test_analysis_says_the_same_of_the_cell_as_it_was(name, monkeypatch):
    lattice, letter, motif, elements = CENTRED[name]
    fractional, kinds = centred(letter, motif)
    structure = Structure.of(lattice, fractional @ lattice, [elements[kind] for kind in kinds])
    reduced = analyse(structure)
    monkeypatch.setattr(of_symmetry, "primitive_part", lambda *given: given)
    whole = analyse(structure)
    assert reduced.space_group_loose == whole.space_group_loose
    assert reduced.space_group_strict == whole.space_group_strict
    assert reduced.protostructure == whole.protostructure
    assert reduced.conventional_cell == pytest.approx(whole.conventional_cell)
