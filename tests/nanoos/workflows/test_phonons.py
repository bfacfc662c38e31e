"""Phonons of solids whose springs are known, and of EMT's metals."""

import re

import numpy as np
import phonopy
import pytest
from ase.build import bulk
from ase.units import _amu, kB

from nanoos.engines import Evaluation
from nanoos.engines.emt import Emt
from nanoos.engines.espresso import Espresso, EspressoParameters
from nanoos.errors import UnsupportedByEngine, WorkflowError
from nanoos.structures import Structure
from nanoos.workflows.phonons import Phonons, PhononsParameters

E_V_PER_A2_IN_N_PER_M = 16.02176634


def silent(share, doing, **numbers):
    pass


def phonons(structure, folder, engine=None, **parameters):
    return Phonons().run(
        structure, PhononsParameters(**parameters), engine or Emt(), silent, folder
    )


class Springs(Emt):
    """Nearest neighbours of a simple cubic crystal on springs: forces are known for any mode.

    Each component of a displacement is held by the differences to all six neighbours, so that
    M ω² = 2k (3 - cos qx - cos qy - cos qz).
    """

    def __init__(self, stiffness_ev_per_a2=1.0, drift=0.0):
        self.stiffness, self.drift = stiffness_ev_per_a2, drift

    def calculate(self, structure):
        n = round(np.linalg.norm(structure.lattice_a[0]) / 3)
        sites = np.round(structure.positions_a / 3).astype(int)
        moved = np.empty((n, n, n, 3))
        moved[tuple((sites % n).T)] = structure.positions_a - 3 * sites
        forces = sum(np.roll(moved, step, axis) - moved for axis in (0, 1, 2) for step in (1, -1))
        forces = self.stiffness * forces - self.drift * moved
        return Evaluation(0.0, forces[tuple((sites % n).T)], np.zeros((3, 3)))


def cubic():
    return Structure.of(3 * np.eye(3), [[0.0, 0, 0]], ["Cu"])


def test_springs_have_the_frequencies_of_their_formula(tmp_path):
    outcome = phonons(cubic(), tmp_path, Springs(2.0))
    mass = 63.546 * _amu
    spring = 2.0 * E_V_PER_A2_IN_N_PER_M
    special = outcome.data["special_points"]["frequencies"]
    for name, steps in {"X": 1, "M": 2, "R": 3}.items():
        expected = np.sqrt(4 * spring * steps / mass) / (2 * np.pi) / 1e12
        assert special[name]["values"] == pytest.approx([expected] * 3, rel=1e-4)
    assert special["G"]["values"] == pytest.approx([0] * 3, abs=1e-4)
    assert outcome.quantities["max_frequency_thz"] == pytest.approx(
        special["R"]["values"][0], rel=1e-3
    )
    assert outcome.data["is_stable"]

    with np.load(outcome.files[0].path) as bands:
        assert bands["frequency_thz"].shape == (len(bands["q_point"]), 3)
        x, _, _ = 2 * np.pi * bands["q_point"].T
        along = np.isclose(bands["q_point"][:, 1:], 0).all(axis=1)
        np.testing.assert_allclose(
            bands["frequency_thz"][along, 0],
            np.sqrt(2 * spring * (1 - np.cos(x[along])) / mass) / (2 * np.pi) / 1e12,
            atol=1e-3,
        )


def test_imaginary_modes_and_forces_of_nothing_are_told(tmp_path):
    outcome = phonons(cubic(), tmp_path, Springs(-0.1))
    assert outcome.quantities["min_frequency_thz"] < -1
    assert "imaginary" in outcome.convergence["notes"][0]
    assert "zero_point_energy_ev_per_atom" not in outcome.quantities
    assert "thermal" not in outcome.data

    outcome = phonons(cubic(), tmp_path, Springs(drift=0.5))
    assert not outcome.convergence["converged"]
    assert outcome.convergence["acoustic_at_gamma_thz"] > 1
    assert "Γ" in outcome.convergence["notes"][0]


def test_of_a_metal_the_limits_are_those_of_theory(tmp_path):
    copper = Structure.from_ase(bulk("Cu", a=3.59))
    outcome = phonons(copper, tmp_path, temperatures=[0, 30000], supercell_length=7)
    assert outcome.convergence["converged"]
    assert outcome.convergence["acoustic_at_gamma_thz"] < 1e-3
    thermal = outcome.data["thermal"]
    zero_point = outcome.quantities["zero_point_energy_ev_per_atom"]
    assert thermal["free_energy"]["values"][0] == pytest.approx(zero_point)
    assert thermal["entropy"]["values"][0] == pytest.approx(0, abs=1e-12)
    assert thermal["heat_capacity"]["values"][1] == pytest.approx(3 * kB, rel=1e-3)
    dos = outcome.data["density_of_states"]
    frequency = np.array(dos["frequency"]["values"])
    density = np.array(dos["density"]["values"])
    assert np.trapezoid(density, frequency) == pytest.approx(3, rel=0.02)
    # half of h ν of every mode
    mean_ev = np.trapezoid(density * frequency, frequency) * 4.135667696e-3 / 2
    assert mean_ev == pytest.approx(zero_point, rel=0.02)

    conventional = Structure.from_ase(bulk("Cu", a=3.59, cubic=True))
    other = phonons(conventional, tmp_path, supercell_length=7)
    assert other.quantities["zero_point_energy_ev_per_atom"] == pytest.approx(zero_point, rel=0.02)

    again = phonopy.load(outcome.files[1].path, produce_fc=False, log_level=0)
    assert again.forces.shape == (1, 32, 3)


def test_what_has_no_cell_is_refused(tmp_path):
    with pytest.raises(UnsupportedByEngine, match="crystal"):
        phonons(Structure.of(None, [[0.0, 0, 0]], ["Cu"]), tmp_path)
    with pytest.raises(WorkflowError, match="one atom"):
        phonons(cubic(), tmp_path, Springs(), supercell_length=3)


@pytest.mark.skipif(Espresso().probe() is not None, reason=str(Espresso().probe()))
@pytest.mark.slow
def test_espresso_has_a_mesh_of_its_own_for_the_supercell(tmp_path):
    """As dense as asked for, where the job's own mesh would be several times too dense."""
    aluminium, spacing_per_a = Structure.from_ase(bulk("Al")), 1.1
    engine = Espresso(
        EspressoParameters(functional="LDA", cutoff_ev=80, k_spacing_per_a=spacing_per_a)
    )
    engine.begin(aluminium, tmp_path)
    outcome = phonons(aluminium, tmp_path, engine, supercell_length=4.5, displacement=0.05)
    repeats = outcome.data["supercell"]
    assert repeats == [2, 2, 2]
    meshes = {}
    for file in tmp_path.glob("pw-*/pw.in"):
        found = re.search(
            r"nat = (\d+)\n(?s:.*)K_POINTS automatic\n +(\d+) (\d+) (\d+) 0", file.read_text()
        )
        n_atoms, *mesh = map(int, found.groups())
        meshes[n_atoms] = mesh
    lengths = 2 * np.pi * np.linalg.norm(np.linalg.inv(aluminium.lattice_a), axis=0)
    assert meshes == {1: [3, 3, 3], 8: [2, 2, 2]}
    for n_atoms, length in ((1, lengths), (8, lengths / repeats)):
        assert (length / meshes[n_atoms] <= spacing_per_a).all()
        assert (length / (np.array(meshes[n_atoms]) - 1) > spacing_per_a).all()
