"""An engine as a calculator of ASE, so that ASE's optimisers can move atoms and cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress
from ase.units import GPa

from nanoos.engines import Engine, Evaluation
from nanoos.structures import Structure

if TYPE_CHECKING:
    from ase import Atoms


class EngineCalculator(Calculator):
    """Evaluates Atoms with an engine: energy in eV, forces in eV/Å, stress in eV/Å3.

    The Atoms may move and their cell may change; which they are stays as in ``structure``.
    ``evaluation`` is the last one, of the structure ``evaluated``.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012 - ASE's

    def __init__(self, engine: Engine, structure: Structure) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.engine = engine
        self.evaluated = structure
        self.evaluation: Evaluation | None = None

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Evaluate; raises StructureError where atoms came too close, and what the engine does."""
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        now: Any = self.atoms
        lattice = None if self.evaluated.lattice_a is None else now.cell.array
        self.evaluated = replace(self.evaluated, lattice_a=lattice, positions_a=now.positions)
        found = self.evaluation = self.engine.calculate(self.evaluated)
        self.results = {
            "energy": found.energy_ev,
            "free_energy": found.energy_ev,
            "forces": found.forces_ev_per_a,
        }
        if found.stress_gpa is not None:
            stress = full_3x3_to_voigt_6_stress(found.stress_gpa * GPa)  # type: ignore[no-untyped-call]
            self.results["stress"] = stress
