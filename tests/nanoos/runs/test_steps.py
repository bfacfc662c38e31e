"""Steps as extended XYZ: ASE reads exactly what they were."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.units import GPa

from nanoos.runs import Step
from nanoos.runs.steps import frame
from nanoos.structures import Structure

CRYSTAL = Structure.from_ase(bulk("NaCl", "rocksalt", a=5.64))
DIGITS = np.random.default_rng(1)


@pytest.mark.parametrize("shape", [(2,), (2, 3)])
def test_ase_reads_all_that_was_calculated(tmp_path: Path, shape: tuple[int, ...]) -> None:
    stress = DIGITS.normal(size=(3, 3))
    step = Step(
        structure=CRYSTAL,
        energy_ev=-6.123456789012345,
        free_energy_ev=-6.2,
        forces_ev_per_a=DIGITS.normal(size=(2, 3)),
        stress_gpa=stress + stress.T,
        magnetic_moments_mu_b=DIGITS.normal(size=shape),
    )
    path = tmp_path / "steps.extxyz"
    path.write_text(frame(step) + frame(Step(structure=Structure.from_ase(molecule("H2O")))))
    crystal, water = ase.io.read(path, ":")
    assert crystal.get_potential_energy() == step.energy_ev
    assert crystal.get_potential_energy(force_consistent=True) == step.free_energy_ev
    assert np.array_equal(crystal.get_forces(), step.forces_ev_per_a)
    assert np.allclose(crystal.get_stress(voigt=False) / GPa, step.stress_gpa, rtol=1e-14)
    assert np.array_equal(crystal.get_magnetic_moments(), step.magnetic_moments_mu_b)
    assert np.array_equal(crystal.cell.array, CRYSTAL.lattice_a)
    assert np.array_equal(crystal.positions, CRYSTAL.positions_a)
    assert str(water.symbols) == "OH2"
    assert water.calc is None
    assert not water.pbc.any()
