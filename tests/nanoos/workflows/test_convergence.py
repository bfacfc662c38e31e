"""Cutoff and k-points are refined until the numbers stay, and not further."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given
from hypothesis import strategies as st

from nanoos.draw import convergence_svg
from nanoos.engines import Evaluation, RefinableEngine
from nanoos.engines.emt import Emt
from nanoos.engines.espresso import Espresso, EspressoParameters
from nanoos.errors import UnsupportedByEngine
from nanoos.methods import Method
from nanoos.structures import Structure
from nanoos.workflows import Outcome
from nanoos.workflows.convergence import Convergence, ConvergenceParameters

COPPER = Structure.from_ase(bulk("Cu"))


@dataclass
class Decaying:
    """An engine whose errors are known: exp(−cutoff / 100 eV), and (k-spacing · Å)⁴ / 10."""

    cutoff_ev: float = 100
    k_spacing_per_a: float = 1
    name, licence, potential, version = "decaying", "MIT", "exact", "1"
    parameters = EspressoParameters
    elements = frozenset({"Cu"})
    properties = frozenset({"energy", "forces", "stress", "refinement"})

    def refined(self, *, cutoff_ev: float, k_spacing_per_a: float) -> Decaying:
        return replace(self, cutoff_ev=cutoff_ev, k_spacing_per_a=k_spacing_per_a)

    def method(self, structure: Structure | None = None) -> Method:
        return Method(code="Decaying", k_spacing_per_a=round(self.k_spacing_per_a, 1))

    def probe(self) -> str | None:
        return None

    def refuses(self, structure: Structure) -> str | None:
        return None

    def calculate(self, structure: Structure) -> Evaluation:
        mesh = round(self.k_spacing_per_a, 1)
        energy = -3.0 + np.exp(-self.cutoff_ev / 100) + mesh**4 / 10
        return Evaluation(float(energy), np.zeros((1, 3)), np.eye(3) * energy)


def run(engine: Any, structure: Structure = COPPER, **given: Any) -> tuple[Outcome, list[float]]:
    told: list[float] = []
    outcome = Convergence().run(
        structure,
        ConvergenceParameters(**given),
        engine,
        lambda done, *_, **__: told.append(done),
        Path(),
    )
    return outcome, told


@given(exponent=st.floats(-3, -1.5))
def test_the_coarsest_that_is_fine_enough_is_recommended(exponent: float) -> None:
    tolerance = 10**exponent
    outcome, told = run(
        Decaying(),
        energy_tolerance_ev_per_atom=tolerance,
        pressure_tolerance_gpa=1,
        cutoff_factor=1.1,
    )
    assert isinstance(Decaying(), RefinableEngine)
    assert outcome.convergence == {"converged": True, "notes": []}
    cutoff, mesh = outcome.quantities["cutoff_ev"], outcome.quantities["k_spacing_per_a"]
    cutoffs, meshes = (outcome.data[name]["values"] for name in ("cutoffs", "k_spacings"))
    assert np.exp(-cutoff / 100) - np.exp(-cutoffs[-1] / 100) <= tolerance
    assert (mesh**4 - meshes[-1] ** 4) / 10 <= tolerance
    assert len(cutoffs) - cutoffs.index(cutoff) == len(meshes) - meshes.index(mesh) == 3
    for before in cutoffs[: cutoffs.index(cutoff)][-1:]:
        assert np.exp(-before / 100) - np.exp(-cutoffs[-1] / 100) > tolerance
    assert len(set(meshes)) == len(meshes)  # a mesh that is used twice proves nothing
    assert told == sorted(told)
    assert told[-1] == 1


def test_what_is_not_fine_enough_is_said() -> None:
    outcome, _ = run(Decaying(), max_cutoff_ev=500)
    assert outcome.convergence["converged"] is False
    assert outcome.quantities["cutoff_ev"] == pytest.approx(300 * 1.2**2)
    assert outcome.convergence["notes"] == ["The cutoff is not fine enough at 432 eV."]


def test_an_engine_without_cutoffs_is_refused() -> None:
    with pytest.raises(UnsupportedByEngine, match="needs refinement, which emt lacks"):
        run(Emt())


def test_it_is_drawn_with_the_tolerance() -> None:
    svg = convergence_svg(run(Decaying())[0].data, "Copper")
    assert svg.startswith("<svg")
    assert all(text in svg for text in ("Copper", "Cutoff (eV)", "Distance of k-points (1/Å)"))


@pytest.mark.skipif(Espresso().probe() is not None, reason=str(Espresso().probe()))
@pytest.mark.slow
def test_espresso_needs_more_for_aluminium_than_the_first_settings(tmp_path: Path) -> None:
    aluminium = Structure.from_ase(bulk("Al"))
    engine = Espresso(EspressoParameters(functional="LDA", smearing_width_ev=0.4))
    engine.begin(aluminium, tmp_path)
    tolerances = {"energy_tolerance_ev_per_atom": 0.05, "pressure_tolerance_gpa": 5}
    outcome, _ = run(engine, aluminium, first_cutoff_ev=80, first_k_spacing_per_a=1.2, **tolerances)
    assert outcome.convergence["converged"]
    assert 80 < outcome.quantities["cutoff_ev"] < 400
    assert len(engine.files) == 3 * (
        len(outcome.data["cutoffs"]["values"]) + len(outcome.data["k_spacings"]["values"])
    )
