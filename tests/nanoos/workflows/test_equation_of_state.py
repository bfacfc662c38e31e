"""The equation of state finds each metal's minimum, from near and from far."""

import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk, molecule
from hypothesis import given, settings
from hypothesis import strategies as st

from nanoos.engines import Evaluation
from nanoos.engines.emt import Emt
from nanoos.errors import EngineError, InvalidParameters, UnsupportedByEngine, WorkflowError
from nanoos.methods import Method
from nanoos.parameters import read_parameters
from nanoos.structures import Structure
from nanoos.workflows import refusal
from nanoos.workflows.equation_of_state import EquationOfState, EquationOfStateParameters


def silent(share, doing, **numbers):
    pass


def run(structure, engine=None, progress=silent, **parameters):
    return EquationOfState().run(
        structure, EquationOfStateParameters(**parameters), engine or Emt(), progress, Path()
    )


def crystal(symbol: str, volume_factor: float = 1.0, **kwargs) -> Structure:
    atoms = bulk(symbol, **kwargs)
    atoms.set_cell(atoms.cell * volume_factor ** (1 / 3), scale_atoms=True)
    return Structure.from_ase(atoms)


class Springs:
    """A crystal whose energy is known exactly: k/2 (V - V0)² / V0, for any structure."""

    name, potential, version = "springs", "exact", "1"
    elements, properties = frozenset({"Cu"}), frozenset({"energy", "forces", "stress"})

    def __init__(self, slope=0.0):
        self.slope, self.calls = slope, 0

    def method(self, structure=None):
        return Method(code="Springs")

    def probe(self):
        return None

    def refuses(self, structure):
        return None

    def calculate(self, structure):
        self.calls += 1
        stretch = structure.volume_a3 - 12.0
        energy = self.slope * structure.volume_a3 if self.slope else stretch**2 / 24
        zero = np.zeros((structure.n_sites, 3))
        return Evaluation(energy, zero, np.zeros((3, 3)))


@pytest.mark.parametrize("symbol", sorted(Emt.elements))
def test_the_fitted_minimum_is_where_the_engines_own_pressure_vanishes(symbol):
    outcome = run(crystal(symbol))
    found = outcome.quantities
    assert abs(found["pressure_gpa"]) < 2e-3 * found["bulk_modulus_gpa"]
    assert outcome.convergence["converged"]
    assert outcome.convergence["residual_ev_per_atom"] < 1e-4
    assert outcome.convergence["notes"] == []
    assert outcome.output_structure.volume_a3 == pytest.approx(found["volume_a3"])


@pytest.mark.parametrize("symbol", ["Al", "Cu", "Pt"])
def test_the_bulk_modulus_is_the_slope_of_the_engines_own_pressure(symbol):
    """B = -V dP/dV by central difference: another way to the same number."""
    found = run(crystal(symbol)).quantities
    at_minimum = run(crystal(symbol)).output_structure.to_ase()
    pressures, step = [], 1e-3
    for factor in (1 + step, 1 - step):
        atoms = at_minimum.copy()
        atoms.set_cell(atoms.cell * factor ** (1 / 3), scale_atoms=True)
        pressures.append(Emt().calculate(Structure.from_ase(atoms)).pressure_gpa)
    assert found["bulk_modulus_gpa"] == pytest.approx(
        (pressures[1] - pressures[0]) / (2 * step), rel=0.012
    )


@settings(max_examples=15, deadline=None)
@given(volume_factor=st.floats(0.7, 1.4))
def test_the_given_volume_does_not_matter(volume_factor):
    near, far = run(crystal("Cu")).quantities, run(crystal("Cu", volume_factor)).quantities
    assert far["volume_a3"] == pytest.approx(near["volume_a3"], rel=1e-4)
    assert far["bulk_modulus_gpa"] == pytest.approx(near["bulk_modulus_gpa"], rel=1e-3)


def test_a_supercell_and_a_conventional_cell_give_the_same_per_atom():
    one, four = run(crystal("Ag")).quantities, run(crystal("Ag", cubic=True)).quantities
    for name in ("volume_a3_per_atom", "energy_ev_per_atom", "bulk_modulus_gpa"):
        assert four[name] == pytest.approx(one[name], rel=1e-6)
    assert four["volume_a3"] == pytest.approx(4 * one["volume_a3"], rel=1e-6)


def test_it_runs_the_same_bit_for_bit_and_its_data_is_json():
    first, second = run(crystal("Au", 1.1)), run(crystal("Au", 1.1))
    assert first.quantities == second.quantities
    assert json.dumps(first.data) == json.dumps(second.data)
    assert json.loads(json.dumps(first.convergence, allow_nan=False)) == first.convergence


def test_it_runs_in_another_process():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        there = pool.submit(
            EquationOfState().run,
            crystal("Cu"),
            EquationOfStateParameters(),
            Emt(),
            silent,
            Path(),
        ).result()
    assert there.quantities == run(crystal("Cu")).quantities


def test_progress_rises_to_one_with_every_evaluation():
    engine, told = Springs(), []
    run(crystal("Cu", 1.3), engine, lambda share, doing: told.append((share, doing)))
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert shares[-1] == 1.0
    assert len(told) == engine.calls


def test_a_distant_minimum_costs_one_evaluation_per_step():
    engine = Springs()
    volume = crystal("Cu").volume_a3
    outcome = run(crystal("Cu", 12.0 * 1.2 / volume), engine)
    steps = np.log(1.2) / np.log(1.06) * 3
    assert engine.calls <= 7 + steps + 2
    assert outcome.quantities["volume_a3"] == pytest.approx(12.0, rel=1e-4)


@pytest.mark.parametrize(("slope", "trend"), [(-1.0, "falls"), (1.0, "rises")])
def test_without_a_minimum_the_trend_is_named(slope, trend):
    with pytest.raises(WorkflowError, match=f"energy {trend} from .* eV at .* Å3"):
        run(crystal("Cu"), Springs(slope))


def test_atoms_that_would_relax_are_noted():
    atoms = bulk("Cu", cubic=True) * (2, 1, 1)
    atoms.rattle(0.05, seed=1)
    notes = run(Structure.from_ase(atoms)).convergence["notes"]
    assert any("not relaxed" in note for note in notes)
    tetragonal = bulk("Cu", cubic=True)
    tetragonal.set_cell(tetragonal.cell * [1, 1, 1.05], scale_atoms=True)
    notes = run(Structure.from_ase(tetragonal)).convergence["notes"]
    assert any("kept its shape" in note for note in notes)


def test_what_cannot_be_done_is_refused_with_the_reason():
    workflow, engine = EquationOfState(), Emt()
    cluster = Structure.from_ase(molecule("CO"))
    assert "crystal" in refusal(workflow, cluster, engine)
    assert "Si" in refusal(workflow, crystal("Si"), engine)
    assert refusal(workflow, crystal("Cu"), engine) is None
    blind = Springs()
    blind.properties = frozenset({"energy"})
    assert "stress" in refusal(workflow, crystal("Cu"), blind)
    with pytest.raises(UnsupportedByEngine, match="Si"):
        run(crystal("Si"))


def test_an_engine_that_breaks_its_promise_of_stress_is_named():
    class Mute(Springs):
        def calculate(self, structure):
            return Evaluation(super().calculate(structure).energy_ev, np.zeros((1, 3)), None)

    with pytest.raises(EngineError, match="stress"):
        run(crystal("Cu"), Mute())


def test_parameters_have_defaults_bounds_and_units_in_their_schema():
    workflow = EquationOfState()
    assert read_parameters(workflow.name, workflow.parameters, {}) == EquationOfStateParameters()
    for given_, named in [
        ({"volume_range": 0.9}, "volume_range"),
        ({"points_per_side": 1.5}, "points_per_side"),
        ({"npoints": 7}, "npoints.*it takes volume_range, points_per_side"),
    ]:
        with pytest.raises(InvalidParameters, match=named):
            read_parameters(workflow.name, workflow.parameters, given_)
    properties = workflow.parameters.model_json_schema()["properties"]
    assert all("unit" in p["description"] and "default" in p for p in properties.values())
