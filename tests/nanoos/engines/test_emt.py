"""EMT refuses what it does not know, and has no stress where there is no cell."""

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.emt import parameters

from nanoos.engines.emt import Emt
from nanoos.errors import EngineError, UnsupportedByEngine
from nanoos.structures import Species, Structure


def test_pressure_is_positive_under_compression():
    small = Structure.from_ase(bulk("Cu", a=3.4))
    large = Structure.from_ase(bulk("Cu", a=3.8))
    assert Emt().calculate(small).pressure_gpa > 1
    assert Emt().calculate(large).pressure_gpa < -1


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


def test_its_potential_is_named_as_its_method_says():
    assert Emt().method().functional in Emt.potential
