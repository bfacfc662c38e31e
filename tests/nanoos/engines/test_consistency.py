"""What every engine owes, whatever its physics: forces and stress are slopes of its own energy."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.units import GPa
from hypothesis import given, settings
from hypothesis import strategies as st

from nanoos import plugins
from nanoos.engines import Engine, RefinableEngine, make
from nanoos.structures import Structure

STILL = np.zeros((3, 3))


class Case(NamedTuple):
    """An engine with a crystal it knows, and how exact its numbers are."""

    engine: str
    atoms: Atoms
    given: Mapping[str, Any] = MappingProxyType({})
    step: float = 1e-4
    force_ev_per_a: float = 1e-5
    stress_gpa: float = 1e-3


CASES = [
    Case("emt", bulk("Cu", cubic=True)),
    Case("lj", bulk("Ar", "fcc", a=5.3, cubic=True)),
    Case("lammps", bulk("Cu")),
    Case("lammps", bulk("Si")),
    Case("lammps", bulk("SiC", "zincblende", a=4.36)),
    Case(
        "ase",
        bulk("Cu"),
        {"calculator": "ase.calculators.emt:EMT", "arguments": {"asap_cutoff": True}},
    ),
    Case("lj", bulk("Fe", "bcc", cubic=True), {"epsilon_ev": 0.4, "sigma_a": 2.3, "cutoff_a": 5.0}),
]
TRAINED = [
    Case(name, bulk("Si"), step=0.002, force_ev_per_a=0.01, stress_gpa=0.05)
    for name in ("chgnet", "sevennet")
]
"""In single precision, so with wider steps."""


def ready(case: Case) -> Engine:
    """Make the case's engine, or skip with the reason why it cannot run here."""
    engine = make(case.engine, case.given)
    if reason := engine.probe():
        pytest.skip(reason)
    return engine


def rattled(atoms: Atoms, strain: np.ndarray = STILL) -> Structure:
    """The crystal strained, all its atoms off their places."""
    moved = atoms.copy()
    moved.rattle(0.05, seed=7)
    moved.set_cell(moved.cell @ (np.eye(3) + strain), scale_atoms=True)
    return Structure.from_ase(moved)


def moved(structure: Structure, strain: np.ndarray, shift_a: Any = 0.0) -> Structure:
    """The structure strained as a whole, and its atoms then moved by ``shift_a``."""
    assert structure.lattice_a is not None
    deform = np.eye(3) + strain
    return Structure.of(
        structure.lattice_a @ deform,
        structure.positions_a @ deform + shift_a,
        structure.species_at_sites,
        structure.periodic,
    )


def slope(engine: Engine, structure: Structure, step: float, strain: Any, shift_a: Any) -> float:
    """The slope of the energy along a strain or a shift, by its central difference."""
    up, down = (
        engine.calculate(moved(structure, sign * step * strain, sign * step * shift_a)).energy_ev
        for sign in (1, -1)
    )
    return (up - down) / (2 * step)


cases = pytest.mark.parametrize(
    "case",
    CASES + [pytest.param(case, marks=pytest.mark.slow) for case in TRAINED],
    ids=lambda case: f"{case.engine}-{case.atoms.symbols}",
)
strains = st.lists(st.floats(-0.03, 0.03), min_size=9, max_size=9).map(
    lambda numbers: np.reshape(numbers, (3, 3)) / 2 + np.reshape(numbers, (3, 3)).T / 2
)


@cases
@settings(max_examples=5)
@given(strain=strains, data=st.data())
def test_forces_are_the_slope_of_the_energy(case: Case, strain: Any, data: Any) -> None:
    engine, structure = ready(case), rattled(case.atoms, strain)
    site, axis = data.draw(st.integers(0, structure.n_sites - 1)), data.draw(st.integers(0, 2))
    shift_a = np.zeros((structure.n_sites, 3))
    shift_a[site, axis] = 1
    force = engine.calculate(structure).forces_ev_per_a[site, axis]
    by_difference = -slope(engine, structure, case.step, STILL, shift_a)
    assert force == pytest.approx(by_difference, abs=case.force_ev_per_a)


@cases
@settings(max_examples=5)
@given(strain=strains, row=st.integers(0, 2), column=st.integers(0, 2))
def test_stress_is_the_slope_of_the_energy_by_strain(
    case: Case, strain: Any, row: int, column: int
) -> None:
    engine, structure = ready(case), rattled(case.atoms, strain)
    direction = np.zeros((3, 3))
    direction[row, column] += 0.5
    direction[column, row] += 0.5
    stress = engine.calculate(structure).stress_gpa
    assert stress is not None
    assert structure.volume_a3 is not None
    by_difference = slope(engine, structure, case.step, direction, 0.0) / structure.volume_a3 / GPa
    assert stress[row, column] == pytest.approx(by_difference, abs=case.stress_gpa)


@cases
def test_it_is_the_same_for_a_supercell_and_in_another_process(case: Case) -> None:
    one = ready(case).calculate(Structure.from_ase(case.atoms))
    again = pickle.loads(pickle.dumps(ready(case)))
    many = again.calculate(Structure.from_ase(case.atoms.repeat((1, 2, 1))))
    assert many.energy_ev / 2 == pytest.approx(one.energy_ev, abs=case.force_ev_per_a)
    assert many.pressure_gpa == pytest.approx(one.pressure_gpa, abs=case.stress_gpa)
    assert again.method() == make(case.engine, case.given).method()


@pytest.mark.parametrize("name", plugins.load("nanoos.engines"))
def test_it_says_what_it_is(name: str) -> None:
    engine = make(name)
    assert engine.name == name
    assert engine.licence
    assert engine.potential
    assert engine.properties <= {"energy", "forces", "stress", "refinement"}
    assert isinstance(engine, RefinableEngine) == ("refinement" in engine.properties)
    if engine.probe() is None:
        assert engine.method().code_version == engine.version
