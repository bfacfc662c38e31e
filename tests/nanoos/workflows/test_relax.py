"""Relaxation ends where the engine's forces and stress vanish, and moves only what it may."""

import numpy as np
import pytest
from ase.build import bulk, fcc111
from ase.io import read

from nanoos.engines import Evaluation
from nanoos.engines.emt import Emt
from nanoos.errors import UnsupportedByEngine, WorkflowError
from nanoos.structures import Structure
from nanoos.workflows.equation_of_state import EquationOfState, EquationOfStateParameters
from nanoos.workflows.relax import Relax, RelaxParameters
from nanoos.workflows.single_point import SinglePoint, SinglePointParameters


def silent(share, doing, **numbers):
    pass


def relax(structure, folder, engine=None, progress=silent, **parameters):
    parameters = RelaxParameters(**parameters)
    return Relax().run(structure, parameters, engine or Emt(), progress, folder)


@pytest.fixture(scope="module")
def alloy():
    """Three copper and one gold atom, shaken, in a cell of the wrong size and shape."""
    atoms = bulk("Cu", cubic=True, a=3.8)
    atoms.symbols[0] = "Au"
    atoms.set_cell(atoms.cell * [1, 1, 1.04], scale_atoms=True)
    atoms.rattle(0.05, seed=1)
    return Structure.from_ase(atoms)


def test_it_ends_where_forces_and_stress_vanish_and_tells_the_way(alloy, tmp_path):
    told = []
    outcome = relax(
        alloy, tmp_path, progress=lambda done, what, **numbers: told.append((done, numbers))
    )
    assert outcome.convergence["converged"]
    assert outcome.convergence["notes"] == []
    there = Emt().calculate(outcome.output_structure)
    assert there.max_force_ev_per_a <= 0.01
    assert np.abs(there.stress_gpa).max() <= 0.05
    assert outcome.quantities["energy_ev"] == pytest.approx(there.energy_ev)
    assert outcome.quantities["energy_ev"] < Emt().calculate(alloy).energy_ev
    done = [share for share, _ in told]
    assert done == sorted(done)
    assert done[-1] == 1
    assert {"step", "energy_ev", "max_force_ev_per_a"} <= set(told[0][1])

    (file,) = outcome.files
    frames = read(file.path, ":")
    assert len(frames) == outcome.data["n_steps"] + 1 == len(told) - 1
    assert [f.get_potential_energy() for f in frames] == pytest.approx(
        outcome.data["energy"]["values"]
    )
    np.testing.assert_allclose(frames[-1].get_forces(), there.forces_ev_per_a, atol=1e-6)


def test_the_relaxed_metal_is_the_minimum_of_its_equation_of_state(tmp_path):
    for cell in ("free", "isotropic"):
        structure = Structure.from_ase(bulk("Ni", a=3.3))
        found = relax(structure, tmp_path, cell=cell, smax=0.01).quantities
        scan = EquationOfState().run(
            structure, EquationOfStateParameters(), Emt(), silent, tmp_path
        )
        assert found["volume_a3"] == pytest.approx(scan.quantities["volume_a3"], rel=5e-4)
        assert abs(found["pressure_gpa"]) <= 0.01


def test_under_pressure_it_ends_at_that_pressure(tmp_path):
    outcome = relax(Structure.from_ase(bulk("Al")), tmp_path, pressure=5)
    assert outcome.convergence["converged"]
    assert outcome.quantities["pressure_gpa"] == pytest.approx(5, abs=0.05)


@pytest.mark.parametrize("optimizer", ["bfgs", "fire"])
def test_what_may_not_move_stays(alloy, tmp_path, optimizer):
    cell = relax(alloy, tmp_path, positions=False, max_steps=3).output_structure
    np.testing.assert_allclose(cell.fractional, alloy.fractional, atol=1e-9)
    assert cell.volume_a3 != pytest.approx(alloy.volume_a3)

    within = relax(
        alloy, tmp_path, cell="fixed", fixed_atoms=[1, 2], fixed_axes=["z"], optimizer=optimizer
    )
    assert within.convergence["converged"]
    np.testing.assert_array_equal(within.output_structure.lattice_a, alloy.lattice_a)
    moved = within.output_structure.positions_a - alloy.positions_a
    assert np.abs(moved[[1, 2]]).max() == 0
    assert np.abs(moved[:, 2]).max() == 0
    assert np.abs(moved[[0, 3], :2]).min() > 0


def test_what_does_not_repeat_keeps_its_cell(tmp_path):
    slab = Structure.from_ase(fcc111("Pt", (1, 1, 3), vacuum=5))
    outcome = relax(slab, tmp_path)
    assert outcome.convergence["converged"]
    assert "cell was kept" in " ".join(outcome.convergence["notes"])
    np.testing.assert_array_equal(outcome.output_structure.lattice_a, slab.lattice_a)
    assert "pressure_gpa" not in outcome.quantities


def test_too_few_steps_are_an_outcome_that_has_not_converged(alloy, tmp_path):
    outcome = relax(alloy, tmp_path, max_steps=2)
    assert not outcome.convergence["converged"]
    assert "after 2 steps" in outcome.convergence["notes"][0]
    assert len(read(outcome.files[0].path, ":")) == 3


class Blind(Emt):
    """EMT that gives no stress, and whose atoms attract each other without end."""

    properties = frozenset({"energy", "forces"})

    def calculate(self, structure):
        middle = structure.positions_a.mean(axis=0)
        return Evaluation(0.0, 100 * (middle - structure.positions_a), None)


def test_what_goes_wrong_is_named(alloy, tmp_path):
    with pytest.raises(WorkflowError, match=r"no site 9.*has 4, counted from 0"):
        relax(alloy, tmp_path, fixed_atoms=[9])
    with pytest.raises(UnsupportedByEngine, match="cell=fixed"):
        relax(alloy, tmp_path, engine=Blind())
    with pytest.raises(WorkflowError, match=r"Step \d+ .*(Å|apart)"):
        relax(alloy, tmp_path, engine=Blind(), cell="fixed", optimizer="fire")


class Given(Emt):
    """EMT with more to say."""

    def calculate(self, structure):
        found = super().calculate(structure)
        further = {"band_gap_ev": 1.5, "occupations": [1, 0]}
        return Evaluation(found.energy_ev, found.forces_ev_per_a, None, False, further)


def test_a_single_point_is_what_the_engine_says(alloy, tmp_path):
    outcome = SinglePoint().run(alloy, SinglePointParameters(), Emt(), silent, tmp_path)
    there = Emt().calculate(alloy)
    assert outcome.quantities["pressure_gpa"] == there.pressure_gpa
    assert outcome.data["forces"]["values"] == there.forces_ev_per_a.tolist()
    assert outcome.convergence["converged"]

    outcome = SinglePoint().run(alloy, SinglePointParameters(), Given(), silent, tmp_path)
    assert outcome.quantities["band_gap_ev"] == 1.5
    assert outcome.data["occupations"] == [1, 0]
    assert "pressure_gpa" not in outcome.quantities
    assert not outcome.convergence["converged"]
