"""Energy, forces and stress of a structure as it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from nanoos.engines import Engine, Evaluation
from nanoos.errors import UnsupportedByEngine
from nanoos.structures import Structure
from nanoos.workflows.workflow import Outcome, Progress, refusal

ELECTRONS_NOTE = "The electrons did not converge."


class SinglePointParameters(BaseModel):
    """Nothing may be chosen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SinglePoint:
    """Evaluate the structure once, nothing moved."""

    name = "single_point"
    version = "1"
    title = "Single point: energy, forces and stress as the structure stands"
    parameters = SinglePointParameters
    default_engine = "emt"
    needs = frozenset({"energy", "forces"})

    def refuses(self, structure: Structure) -> str | None:
        """Return None: any structure can be evaluated."""
        return None

    def run(
        self,
        structure: Structure,
        parameters: SinglePointParameters,
        engine: Engine,
        progress: Progress,
        folder: Path,
    ) -> Outcome:
        """Evaluate.

        Quantities: ``energy_ev``, also per atom, ``max_force_ev_per_a``, for a crystal
        ``pressure_gpa`` and ``volume_a3``, also per atom, and the numbers that the engine gives
        further. Data: ``forces``, and ``stress`` where there is one.

        Raises
        ------
        UnsupportedByEngine
            If the engine refuses the structure.
        EngineError
            If the evaluation fails.
        """
        if reason := refusal(self, structure, engine):
            raise UnsupportedByEngine(reason)
        found = engine.calculate(structure)
        quantities = evaluated_quantities(structure, found)
        numbers = {name: quantities[name] for name in ("energy_ev", "max_force_ev_per_a")}
        progress(1.0, f"E = {found.energy_ev:.4f} eV", **numbers)
        data: dict[str, Any] = {
            "n_atoms": structure.n_sites,
            "forces": {"values": found.forces_ev_per_a.tolist(), "unit": "eV/Å"},
        }
        if found.stress_gpa is not None:
            data["stress"] = {"values": found.stress_gpa.tolist(), "unit": "GPa"}
        data |= {name: value for name, value in found.further.items() if name not in quantities}
        return Outcome(
            quantities=quantities,
            data=data,
            convergence={
                "converged": found.is_converged,
                "notes": [] if found.is_converged else [ELECTRONS_NOTE],
            },
        )


def evaluated_quantities(structure: Structure, found: Evaluation) -> dict[str, float]:
    """Return the main numbers of one evaluation, those of ``further`` included."""
    n_atoms = structure.n_sites
    quantities = {
        name: float(value)
        for name, value in found.further.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    quantities |= {
        "energy_ev": found.energy_ev,
        "energy_ev_per_atom": found.energy_ev / n_atoms,
        "max_force_ev_per_a": found.max_force_ev_per_a,
    }
    if structure.volume_a3 is not None:
        quantities["volume_a3"] = structure.volume_a3
        quantities["volume_a3_per_atom"] = structure.volume_a3 / n_atoms
    if found.stress_gpa is not None:
        quantities["pressure_gpa"] = found.pressure_gpa
    return quantities
