"""EMT gives the forces and stress of its own energy, and refuses what it does not know."""

import pickle

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.emt import parameters
from ase.units import GPa

from nanoos.engines.emt import Emt
from nanoos.errors import EngineError, UnsupportedByEngine
from nanoos.structures import Species, Structure


def rattled(symbol: str = "Cu") -> Structure:
    atoms = bulk(symbol, cubic=True)
    atoms.rattle(0.1, seed=7)
    return Structure.from_ase(atoms)


def moved(structure: Structure, strain: np.ndarray, shift_a: np.ndarray) -> Structure:
    """The structure strained as a whole, and its atoms then moved by ``shift_a``."""
    deform = np.eye(3) + strain
    return Structure.of(
        structure.lattice_a @ deform,
        structure.positions_a @ deform + shift_a,
        structure.species_at_sites,
        structure.periodic,
    )


def test_forces_are_the_slope_of_the_energy():
    structure, engine, step = rattled(), Emt(), 1e-4
    still = np.zeros((3, 3))
    forces = engine.calculate(structure).forces_ev_per_a
    for site, axis in [(0, 0), (2, 1)]:
        shift = np.zeros((structure.n_sites, 3))
        shift[site, axis] = step
        up, down = (
            engine.calculate(moved(structure, still, sign * shift)).energy_ev for sign in (1, -1)
        )
        assert forces[site, axis] == pytest.approx(-(up - down) / (2 * step), abs=1e-5)


def test_stress_is_the_slope_of_the_energy_by_strain():
    structure, engine, step = rattled(), Emt(), 1e-5
    stress = engine.calculate(structure).stress_gpa
    for row, column in [(0, 0), (1, 2)]:
        strain = np.zeros((3, 3))
        strain[row, column] += step / 2
        strain[column, row] += step / 2
        up, down = (
            engine.calculate(moved(structure, sign * strain, 0.0)).energy_ev for sign in (1, -1)
        )
        slope_gpa = (up - down) / (2 * step) / structure.volume_a3 / GPa
        assert stress[row, column] == pytest.approx(slope_gpa, abs=1e-3)


def test_pressure_is_positive_under_compression():
    small = Structure.from_ase(bulk("Cu", a=3.4))
    large = Structure.from_ase(bulk("Cu", a=3.8))
    assert Emt().calculate(small).pressure_gpa > 1
    assert Emt().calculate(large).pressure_gpa < -1


def test_a_supercell_has_the_same_energy_per_atom():
    atoms = bulk("Pt")
    one = Emt().calculate(Structure.from_ase(atoms)).energy_ev
    many = Emt().calculate(Structure.from_ase(atoms.repeat((2, 2, 3)))).energy_ev
    assert many / 12 == pytest.approx(one, abs=1e-9)


def test_it_knows_the_metals_it_was_made_for_and_not_the_rest_of_the_table():
    assert set(parameters) - Emt.elements == {"H", "C", "N", "O"}


@pytest.mark.parametrize(
    ("atoms", "named"),
    [
        (bulk("NaCl", "rocksalt", a=5.64), ["Cl and Na", "Al, Ag"]),
        (molecule("CO"), ["C and O"]),
        (bulk("Si"), ["Si"]),
    ],
)
def test_it_refuses_other_elements_by_name(atoms, named):
    structure = Structure.from_ase(atoms)
    reason = Emt().refuses(structure)
    assert named[0] in reason
    assert all(symbol in reason for symbol in Emt.elements)
    with pytest.raises(UnsupportedByEngine, match=named[0]):
        Emt().calculate(structure)


def test_it_refuses_mixed_sites():
    alloy = Structure(
        lattice_a=np.diag([3.8, 3.8, 3.8]),
        positions_a=np.zeros((1, 3)),
        species=(Species("CuAu", ("Cu", "Au"), (0.5, 0.5)),),
        species_at_sites=("CuAu",),
    )
    assert "partly occupied" in Emt().refuses(alloy)


def test_a_cluster_has_energy_and_forces_but_no_stress():
    pair = Structure.of(None, np.array([[0, 0, 0], [0, 0, 2.2]]), ["Cu", "Cu"], (False,) * 3)
    evaluation = Emt().calculate(pair)
    assert evaluation.forces_ev_per_a[0] == pytest.approx(-evaluation.forces_ev_per_a[1])
    assert evaluation.stress_gpa is None
    with pytest.raises(EngineError, match="no periodic cell"):
        _ = evaluation.pressure_gpa


def test_it_travels_to_another_process_and_says_what_it_is():
    engine = pickle.loads(pickle.dumps(Emt()))
    assert engine.probe() is None
    assert engine.method().code_version == engine.version
    assert engine.method().functional in engine.potential
