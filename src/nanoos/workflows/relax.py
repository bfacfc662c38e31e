"""Relaxation: atoms and cell follow their forces and stress to where there are none."""

from __future__ import annotations

from math import log
from pathlib import Path
from typing import Any

from nanoos.engines import Engine
from nanoos.errors import UnsupportedByEngine
from nanoos.structures import Structure
from nanoos.workflows.descent import RelaxParameters, Step, descend
from nanoos.workflows.single_point import ELECTRONS_NOTE, evaluated_quantities
from nanoos.workflows.workflow import Outcome, OutputFile, Progress, refusal

TRAJECTORY = "trajectory.extxyz"


class Relax:
    """Move atoms, cell or both until forces and stress are small.

    The optimisers are those of ASE. Nothing imposes the symmetry of the given structure, and
    nothing breaks it: atoms that forces do not move stay where they are, so a saddle point that
    symmetry holds counts as relaxed. ``phonons`` tells one from a minimum.
    """

    name = "relax"
    version = "1"
    title = "Relaxation: the nearest structure without forces and stress"
    parameters = RelaxParameters
    default_engine = "emt"
    needs = frozenset({"energy", "forces"})

    def refuses(self, structure: Structure) -> str | None:
        """Return None: any structure can be relaxed."""
        return None

    def run(
        self,
        structure: Structure,
        parameters: RelaxParameters,
        engine: Engine,
        progress: Progress,
        folder: Path,
    ) -> Outcome:
        """Relax; what is not relaxed after ``max_steps`` has not converged, and is kept.

        Quantities are those of ``single_point``, of the last structure, which is
        ``output_structure``. The file ``trajectory.extxyz`` has every step.

        Raises
        ------
        UnsupportedByEngine
            If the engine refuses the structure, or gives no stress where the cell may change.
        EngineError
            If an evaluation fails.
        WorkflowError
            If a fixed atom is not there, or atoms come too close on the way.
        """
        if reason := refusal(self, structure, engine):
            raise UnsupportedByEngine(reason)
        path, energies, told = folder / TRAJECTORY, [], _Told(parameters)
        with path.open("w") as trajectory:
            for step in descend(structure, parameters, engine):
                energies.append(step.evaluation.energy_ev)
                _write(trajectory, step)
                told.tell(progress, step)
        last = step
        progress(1.0, f"relaxed in {last.number} steps" if last.is_relaxed else "not relaxed")
        return Outcome(
            quantities=evaluated_quantities(last.structure, last.evaluation),
            data={
                "n_atoms": structure.n_sites,
                "n_steps": last.number,
                "energy": {"values": energies, "unit": "eV"},
            },
            convergence=_convergence(structure, parameters, last),
            output_structure=last.structure,
            files=(OutputFile(TRAJECTORY, "chemical/x-xyz", path),),
        )


class _Told:
    """How much is done: on a logarithmic scale from the first excess to 1, never falling."""

    def __init__(self, parameters: RelaxParameters) -> None:
        self.max_steps = parameters.max_steps
        self.first: float | None = None
        self.done = 0.0

    def tell(self, progress: Progress, step: Step) -> None:
        excess = max(step.excess, 1.0)
        self.first = max(self.first or excess, 1.0 + 1e-9)
        near = 1 - log(excess) / log(self.first)
        self.done = min(max(self.done, near, step.number / self.max_steps), 1.0)
        progress(
            self.done,
            f"step {step.number}: largest force {step.max_force_ev_per_a:.3g} eV/Å",
            step=step.number,
            energy_ev=step.evaluation.energy_ev,
            max_force_ev_per_a=step.max_force_ev_per_a,
            max_stress_gpa=step.max_stress_gpa,
        )


def _write(trajectory: Any, step: Step) -> None:
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import write
    from ase.units import GPa

    found = step.evaluation
    atoms: Any = step.structure.to_ase()
    stress = {} if found.stress_gpa is None else {"stress": found.stress_gpa * GPa}
    atoms.calc = SinglePointCalculator(  # type: ignore[no-untyped-call]
        atoms, energy=found.energy_ev, forces=found.forces_ev_per_a, **stress
    )
    write(trajectory, atoms, format="extxyz")


def _convergence(given: Structure, parameters: RelaxParameters, last: Step) -> dict[str, Any]:
    notes = []
    if not last.is_relaxed:
        notes.append(f"Forces or stress remain after {last.number} steps.")
    if not last.evaluation.is_converged:
        notes.append(ELECTRONS_NOTE)
    if parameters.cell != "fixed" and not all(given.periodic):
        notes.append("The cell was kept: the structure does not repeat in three directions.")
    return {
        "converged": last.is_relaxed and last.evaluation.is_converged,
        "n_steps": last.number,
        "max_force_ev_per_a": last.max_force_ev_per_a,
        "max_stress_gpa": last.max_stress_gpa,
        "notes": notes,
    }
