"""ε and ν of the ACWF protocol, and a sample of bench/physics.py: EMT beside all-electron PBE."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanoos.agreement import epsilon, nu
from nanoos.engines import make
from nanoos.workflows.birch_murnaghan import BirchMurnaghan

SAMPLE = {
    "Cu-X/FCC": (1, 11.952224652322, 0.8800041287349494, 5.055694443204224),
    "Al-X/FCC": (1, 16.49535905981626, 0.4837908557795412, 4.623179033235038),
    "Si-X/Diamond": (2, 40.914946909495136, 0.5524442002451444, 4.31178461988603),
    "Mg-XO": (2, 19.249038606577802, 0.9298661534716726, 4.090925702914065),
    "V-X2O5": (14, 119.93636555644552, 1.4403338925307199, 4.424821007557343),
}
"""Atoms, V0 in Å3, B0 in eV/Å3 and B0′ of E. Bosoni et al., Nat. Rev. Phys. 6, 45 (2024), from
AE-average-unaries.json and AE-average-oxides.json of aiida-sssp-workflow 4.2.3 (MIT licence)."""

curves = st.builds(
    BirchMurnaghan,
    energy_ev=st.floats(-10, 10),
    volume_a3=st.floats(10, 12),
    bulk_modulus_gpa=st.floats(20, 300),
    bulk_modulus_derivative=st.floats(3, 6),
)


@pytest.fixture(scope="module")
def physics() -> ModuleType:
    path = Path(__file__).parents[2] / "bench" / "physics.py"
    spec = importlib.util.spec_from_file_location("physics", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@given(one=curves, other=curves)
def test_epsilon_is_that_of_the_definition(one: BirchMurnaghan, other: BirchMurnaghan) -> None:
    middle = (one.volume_a3 + other.volume_a3) / 2
    edges = np.linspace(0.94 * middle, 1.06 * middle, 20_001)
    volumes = (edges[1:] + edges[:-1]) / 2
    a = one.energies_ev(volumes) - one.energy_ev
    b = other.energies_ev(volumes) - other.energy_ev
    expected = np.sqrt(np.mean((a - b) ** 2) / np.sqrt(np.var(a) * np.var(b)))
    assert epsilon(one, other) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert epsilon(one, other) == pytest.approx(epsilon(other, one), abs=1e-12)
    assert nu(one, other) == pytest.approx(nu(other, one))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, 0),
        ({"energy_ev": 3.0}, 0),
        ({"volume_a3": 11 * 1.01}, 0.995),
        ({"bulk_modulus_gpa": 140 * 1.2}, 100 / 20 * 0.2 / 1.1),
        ({"bulk_modulus_derivative": 10.0}, 100 / 400 * 5 / 7.5),
    ],
)
def test_nu_weighs_volume_modulus_and_derivative(change: dict[str, float], expected: float) -> None:
    curve = BirchMurnaghan(-1.0, 11.0, 140.0, 5.0)
    assert nu(curve, replace(curve, **change)) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("name", SAMPLE)
def test_a_crystal_of_the_bench_has_its_volume_and_composition(
    name: str, physics: ModuleType
) -> None:
    n_atoms, volume_a3, modulus, derivative = SAMPLE[name]
    fit = {"min_volume": volume_a3, "bulk_modulus_ev_ang3": modulus, "bulk_deriv": derivative}
    crystal = physics.acwf(name, fit, n_atoms)
    assert crystal.structure.n_sites == n_atoms
    assert crystal.structure.volume_a3 == pytest.approx(volume_a3)
    symbols = crystal.structure.symbols
    ratio = symbols.count("O") / (n_atoms - symbols.count("O"))
    assert ratio == {"Mg-XO": 1, "V-X2O5": 2.5}.get(name, 0)


@pytest.mark.parametrize(
    ("name", "volume_percent", "modulus_percent"), [("Cu-X/FCC", -3, -5), ("Al-X/FCC", -3, -49)]
)
def test_emt_is_as_far_from_pbe_as_the_docs_say(
    name: str, volume_percent: float, modulus_percent: float, physics: ModuleType
) -> None:
    n_atoms, volume_a3, modulus, derivative = SAMPLE[name]
    fit = {"min_volume": volume_a3, "bulk_modulus_ev_ang3": modulus, "bulk_deriv": derivative}
    row = physics.found(physics.acwf(name, fit, n_atoms), make("emt"))
    assert row["volume_error_percent"] == pytest.approx(volume_percent, abs=0.5)
    assert row["bulk_modulus_error_percent"] == pytest.approx(modulus_percent, abs=1)
