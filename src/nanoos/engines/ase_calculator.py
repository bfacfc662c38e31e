"""What engines that are calculators of ASE share."""

from __future__ import annotations

from typing import Any

import numpy as np

from nanoos.engines.engine import Evaluation
from nanoos.errors import EngineError
from nanoos.structures import Structure


def evaluate(
    structure: Structure, calculator: Any, name: str, *, stress: bool = True
) -> Evaluation:
    """Return energy, forces and, for a periodic structure, stress as ``calculator`` finds them.

    ``stress`` says whether it can give that. Raises EngineError in the name of ``name`` if a
    number is not finite.
    """
    from ase.units import GPa

    atoms: Any = structure.to_ase()
    atoms.calc = calculator
    with_stress = stress and all(structure.periodic)
    with np.errstate(all="ignore"):
        energy_ev = float(atoms.get_potential_energy())
        forces = np.asarray(atoms.get_forces(), float)
        stress_gpa = np.asarray(atoms.get_stress(voigt=False), float) / GPa if with_stress else None
    if not all(np.isfinite(x).all() for x in (energy_ev, forces, stress_gpa) if x is not None):
        raise EngineError(f"{name} gave no finite energy, forces or stress: do atoms overlap?")
    return Evaluation(energy_ev, forces, stress_gpa)
