"""The fit finds the curve that made the energies, as ASE's nonlinear fit does."""

import numpy as np
import pytest
from ase.eos import EquationOfState
from ase.units import GPa
from hypothesis import example, given
from hypothesis import strategies as st

from nanoos.errors import WorkflowError
from nanoos.workflows.birch_murnaghan import BirchMurnaghan, fit_birch_murnaghan


@example(energy=0.0, volume=5.0, modulus=1.0, derivative=4.0, centre=1.0)
@given(
    energy=st.floats(-1e4, 1e4),
    volume=st.floats(5, 2000),
    modulus=st.floats(1, 500),
    derivative=st.floats(2, 8),
    centre=st.floats(0.97, 1.03),
)
def test_the_fit_finds_the_curve_that_made_the_energies(
    energy, volume, modulus, derivative, centre
):
    curve = BirchMurnaghan(energy, volume, modulus, derivative)
    volumes = volume * centre * np.linspace(0.94, 1.06, 7)
    fit = fit_birch_murnaghan(volumes, curve.energies_ev(volumes))
    assert fit.energy_ev == pytest.approx(energy, abs=1e-6)
    assert fit.volume_a3 == pytest.approx(volume, rel=1e-4)
    assert fit.bulk_modulus_gpa == pytest.approx(modulus, rel=1e-3)
    assert fit.bulk_modulus_derivative == pytest.approx(derivative, abs=0.05)


def test_it_agrees_with_ases_nonlinear_fit_on_noisy_energies():
    curve = BirchMurnaghan(-3.7, 16.5, 78.0, 4.6)
    volumes = np.linspace(15.5, 17.5, 9)
    energies = curve.energies_ev(volumes) + np.random.default_rng(3).normal(0, 1e-4, 9)
    fit = fit_birch_murnaghan(volumes, energies)
    ase = EquationOfState(volumes, energies, eos="birchmurnaghan")
    volume, energy, modulus = ase.fit()
    assert fit.volume_a3 == pytest.approx(volume, rel=1e-6)
    assert fit.energy_ev == pytest.approx(energy, abs=1e-8)
    assert fit.bulk_modulus_gpa == pytest.approx(modulus / GPa, rel=1e-4)
    assert fit.bulk_modulus_derivative == pytest.approx(ase.eos_parameters[2], rel=1e-3)


@pytest.mark.parametrize("energies", [[5, 4, 3, 2, 1], [1, 1, 1, 1, 1], [-4, -1, 0, -1, -4]])
def test_energies_without_a_minimum_are_refused(energies):
    with pytest.raises(WorkflowError, match="no minimum"):
        fit_birch_murnaghan([10, 11, 12, 13, 14], energies)
