"""SOAP vectors: what must not change them, and whom they find near."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell, molecule
from ase.collections import dcdft
from ase.spacegroup import crystal
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from nanoos.embedders.soap import Soap
from nanoos.parsers import read
from nanoos.structures import Species, Structure

EXAMPLES = Path(__file__).parents[3] / "examples" / "crystals"


def cubic(symbols, basis, spacegroup, a):
    return crystal(symbols, basis, spacegroup=spacegroup, cellpar=[a, a, a, 90, 90, 90])


def perovskite(symbols: tuple[str, str, str], a: float) -> Atoms:
    return cubic(symbols, [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)], 221, a)


def heusler(symbols: tuple[str, str, str], a: float) -> Atoms:
    return cubic(symbols, [(0, 0, 0), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)], 225, a)


PROTOTYPES = {
    "rock salt": [
        bulk("NaCl", "rocksalt", a=5.64),
        bulk("MgO", "rocksalt", a=4.21),
        bulk("PbS", "rocksalt", a=5.94, cubic=True),
        bulk("KCl", "rocksalt", a=6.29),
    ],
    "zinc blende": [
        bulk("ZnS", "zincblende", a=5.41),
        bulk("GaAs", "zincblende", a=5.65, cubic=True),
    ],
    "wurtzite": [bulk("ZnO", "wurtzite", a=3.25, c=5.21), bulk("CdS", "wurtzite", a=4.14, c=6.72)],
    "caesium chloride": [
        bulk("CsCl", "cesiumchloride", a=4.12),
        bulk("NiAl", "cesiumchloride", a=2.89),
    ],
    "zintl": [
        cubic(("Na", "Tl"), [(0, 0, 0), (0.5, 0.5, 0.5)], 227, 7.5),
        cubic(("Li", "Al"), [(0, 0, 0), (0.5, 0.5, 0.5)], 227, 6.4),
    ],
    "fluorite": [bulk("CaF2", "fluorite", a=5.46), bulk("UO2", "fluorite", a=5.47, cubic=True)],
    "cuprite": [
        cubic(("O", "Cu"), [(0, 0, 0), (0.25, 0.25, 0.25)], 224, 4.27),
        cubic(("O", "Ag"), [(0, 0, 0), (0.25, 0.25, 0.25)], 224, 4.74),
    ],
    "perovskite": [perovskite(("Sr", "Ti", "O"), 3.91), perovskite(("K", "Mg", "F"), 3.99)],
    "heusler": [heusler(("Al", "Mn", "Cu"), 5.95), heusler(("Ga", "Mn", "Ni"), 5.82)],
    "fcc": [dcdft["Cu"], dcdft["Pb"].repeat((2, 1, 1))],
    "bcc": [dcdft["W"], dcdft["K"]],
    "hcp": [dcdft["Mg"], dcdft["Re"]],
    "diamond": [dcdft["Si"], dcdft["Ge"]],
}


def embed(*atoms: Atoms) -> np.ndarray:
    embedded = Soap().embed([Structure.from_ase(a) for a in atoms])
    assert not embedded.failures
    return embedded.vectors


def distance(one: Atoms, other: Atoms) -> float:
    first, second = embed(one, other)
    return float(np.linalg.norm(first - second))


@pytest.fixture(scope="module")
def rutile() -> Atoms:
    return crystal(
        ("Ti", "O"),
        [(0, 0, 0), (0.3, 0.3, 0)],
        spacegroup=136,
        cellpar=[4.6, 4.6, 2.96, 90, 90, 90],
    )


def test_the_vector_has_its_documented_parts(rutile):
    (vector,) = embed(rutile)
    assert vector.shape == (Soap.dimension,) == (258,)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector[:126]) == pytest.approx(1, abs=1e-6)
    assert np.linalg.norm(vector[126:252]) == pytest.approx(1, abs=1e-6)
    assert vector[252:] == pytest.approx([2 / 3, 1 / 3, 0, 0, 0, 0], abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_nothing_but_the_shape_of_the_crystal_matters(rutile, seed):
    """Rotation, mirror, origin, size, order of sites, element names, supercell, odd cells."""
    rng = np.random.default_rng(seed)
    same = rutile.copy()
    same.symbols[same.symbols == "Ti"] = "Pb"
    same = make_supercell(same, [[1, 0, 0], [rng.integers(-2, 3), 1, 0], [0, 0, 1]])
    same = same.repeat(rng.integers(1, 3, 3))
    same.positions += rng.uniform(-5, 5, 3)
    turn = Rotation.random(random_state=seed % 2**31).as_matrix() * rng.choice([-1, 1])
    same.set_cell(same.cell.array @ turn * rng.uniform(0.8, 1.5), scale_atoms=True)
    same = same[rng.permutation(len(same))]
    assert distance(rutile, same) < 1e-5


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), amplitude=st.floats(1e-4, 0.05))
def test_a_small_move_of_the_atoms_moves_the_vector_a_little(rutile, seed, amplitude):
    moved = rutile.repeat((2, 2, 2))
    moved.positions += np.random.default_rng(seed).normal(0, amplitude, moved.positions.shape)
    assert 1e-9 < distance(rutile, moved) < 2 * amplitude


@pytest.mark.parametrize("prototype", PROTOTYPES)
def test_each_prototype_finds_its_own_kind_first(prototype):
    names = [name for name, members in PROTOTYPES.items() for _ in members]
    vectors = embed(*(atoms for members in PROTOTYPES.values() for atoms in members))
    for i in (k for k, name in enumerate(names) if name == prototype):
        order = np.argsort(np.linalg.norm(vectors - vectors[i], axis=1))
        kin = names.count(prototype)
        assert {names[j] for j in order[:kin]} == {prototype}


FAMILIES = {
    "rock salt": "altaite bunsenite chlorargyrite galena griceite halite kbr lime manganosite "
    "periclase sro sylvite villiaumite",
    "fluorite": "cerianite-ce fluorite frankdicksonite uraninite",
    "zinc blende": "cdte gaas inas sic sphalerite",
    "wurtzite": "greenockite wurtzite-2h zincite",
    "rutile": "cassiterite rutile sellaite stishovite",
    "corundum": "corundum eskolaite hematite",
    "aragonite": "aragonite cerussite witherite",
    "olivine": "fayalite forsterite",
    "diamond": "diamond germanium silicon",
}
"""Minerals of one structure type among the example crystals."""


@pytest.mark.parametrize("family", FAMILIES)
def test_real_minerals_find_their_structure_type(family):
    files = sorted(p for p in EXAMPLES.iterdir() if p.suffix in {".cif", ".poscar", ".extxyz"})
    names = [path.stem.rsplit("_", 1)[0] for path in files]
    vectors = Soap().embed([read(path)[0].structure for path in files]).vectors
    kin = set(FAMILIES[family].split())
    for i in (names.index(name) for name in kin):
        order = np.argsort(np.linalg.norm(vectors - vectors[i], axis=1))
        assert {names[j] for j in order[: len(kin)]} == kin


def test_orderings_of_one_lattice_are_told_apart():
    """CsCl and NaTl are both bcc to eyes that see no elements, with half of each kind."""
    caesium_chloride, zintl = PROTOTYPES["caesium chloride"][0], PROTOTYPES["zintl"][0]
    assert distance(caesium_chloride, zintl) > 0.1
    assert distance(dcdft["Si"], PROTOTYPES["zinc blende"][0]) > 0.1


def test_a_solid_solution_stays_with_its_end_member():
    periclase = Structure.from_ase(bulk("MgO", "rocksalt", a=4.21))
    mixed = Structure(
        lattice_a=periclase.lattice_a,
        positions_a=periclase.positions_a,
        species=(Species("M", ("Mg", "Fe"), (0.7, 0.3)), Species("O", ("O",), (1.0,))),
        species_at_sites=("M", "O"),
    )
    first, second = Soap().embed([periclase, mixed]).vectors
    assert first == pytest.approx(second, abs=1e-6)


def test_what_is_no_crystal_fails_alone():
    structures = [
        Structure.from_ase(atoms)
        for atoms in (dcdft["Cu"], molecule("H2O"), Atoms("C", cell=[2, 2, 20], pbc=[1, 1, 0]))
    ]
    embedded = Soap().embed(structures)
    assert set(embedded.failures) == {1, 2}
    assert "periodic in all three directions" in str(embedded.failures[1])
    assert np.isnan(embedded.vectors[1:]).all()
    assert (embedded.vectors[0] == embed(dcdft["Cu"])[0]).all()


def test_batches_do_not_change_the_vectors(monkeypatch):
    crystals = [atoms for members in PROTOTYPES.values() for atoms in members]
    whole = embed(*crystals)
    monkeypatch.setattr("nanoos.embedders.soap.SITES_PER_BATCH", 5)
    assert (embed(*crystals) == whole).all()


def test_nothing_to_embed_gives_nothing():
    assert Soap().embed([]).vectors.shape == (0, 258)
