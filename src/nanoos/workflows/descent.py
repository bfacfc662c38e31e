"""The way down to a structure without forces and stress, one step after another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from nanoos.engines import Engine, Evaluation
from nanoos.errors import StructureError, UnsupportedByEngine, WorkflowError
from nanoos.structures import Structure
from nanoos.workflows.calculator import EngineCalculator

AXES = ("x", "y", "z")


class RelaxParameters(BaseModel):
    """What may move, when it is enough, and by which optimiser of ASE."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    positions: bool = Field(
        default=True,
        title="Positions",
        description="Whether atoms move within the cell (no unit).",
    )
    cell: Literal["free", "isotropic", "fixed"] = Field(
        default="free",
        title="Cell",
        description="Whether the cell may change volume and shape, its volume alone, or nothing "
        "(no unit). That of a structure that does not repeat in three directions is kept.",
    )
    fixed_atoms: tuple[int, ...] = Field(
        default=(),
        title="Fixed atoms",
        description="Sites that keep their fractional coordinates, counted from 0 (no unit).",
    )
    fixed_axes: tuple[Literal["x", "y", "z"], ...] = Field(
        default=(),
        title="Fixed axes",
        description="Cartesian axes along which no atom moves by itself (no unit).",
    )
    fmax: float = Field(
        default=0.01,
        gt=0,
        le=1,
        title="Largest force",
        description="It is relaxed when no atom that may move has a larger force (unit: eV/Å).",
    )
    smax: float = Field(
        default=0.05,
        gt=0,
        le=10,
        title="Largest stress",
        description="And no element of the stress that the cell may follow departs further from "
        "the pressure (unit: GPa).",
    )
    pressure: float = Field(
        default=0.0,
        ge=-100,
        le=1000,
        title="Pressure",
        description="From outside, on a cell that may change (unit: GPa).",
    )
    max_steps: int = Field(
        default=500, ge=1, le=100_000, title="Most steps", description="Then it gives up (no unit)."
    )
    optimizer: Literal["bfgs", "lbfgs", "fire"] = Field(
        default="lbfgs",
        title="Optimiser",
        description="ASE's; bfgs is slow for many atoms, fire robust (no unit).",
    )


@dataclass(frozen=True, slots=True)
class Step:
    """A structure on the way, and what still pulls at it.

    Parameters
    ----------
    number
        From 0, the structure as given.
    structure, evaluation
        Where it is, and what the engine says of it.
    max_force_ev_per_a
        The largest force on an atom along what it may move, in eV/Å.
    max_stress_gpa
        The largest element of stress plus pressure that the cell may follow, in GPa; 0 for a
        fixed cell.
    excess
        The larger of both over what is allowed: at 1 or below it is relaxed.
    """

    number: int
    structure: Structure
    evaluation: Evaluation
    max_force_ev_per_a: float
    max_stress_gpa: float
    excess: float

    @property
    def is_relaxed(self) -> bool:
        """Whether nothing pulls at it any more, as far as asked."""
        return self.excess <= 1


def descend(structure: Structure, parameters: RelaxParameters, engine: Engine) -> Iterator[Step]:
    """Yield each step from ``structure`` until it is relaxed, or ``max_steps`` are made.

    The cell follows the logarithm of its deformation (ASE's ``FrechetCellFilter``).

    Raises
    ------
    UnsupportedByEngine
        If the cell may change and the engine gives no stress.
    WorkflowError
        If a fixed atom is not there, or atoms come too close on the way.
    EngineError
        If an evaluation fails.
    """
    atoms: Any = structure.to_ase()
    calculator = atoms.calc = EngineCalculator(engine, structure)
    atoms.set_constraint(_constraints(structure, parameters))
    has_free_cell = parameters.cell != "fixed" and all(structure.periodic)
    if has_free_cell and "stress" not in engine.properties:
        raise UnsupportedByEngine(f"{engine.name} gives no stress: relax with cell=fixed.")
    optimizer = _optimizer(atoms, parameters, has_free_cell)
    steps = optimizer.irun(fmax=0.0, steps=parameters.max_steps)  # when to end is ours to say
    for number in range(parameters.max_steps + 1):
        try:
            if next(steps, None) is None:
                return
        except StructureError as error:
            raise WorkflowError(f"Step {number} of the relaxation failed. {error}") from error
        step = _step(number, atoms, calculator, parameters, has_free_cell)
        yield step
        if step.is_relaxed:
            return


def _constraints(structure: Structure, parameters: RelaxParameters) -> list[Any]:
    from ase.constraints import FixAtoms, FixCartesian

    everything = range(structure.n_sites)
    if missing := sorted(set(parameters.fixed_atoms) - set(everything)):
        raise WorkflowError(
            f"fixed_atoms: there is no site {missing[0]}; the structure has "
            f"{structure.n_sites}, counted from 0."
        )
    if not parameters.positions:
        return [FixAtoms(everything)]  # type: ignore[no-untyped-call]
    constraints: list[Any] = []
    if parameters.fixed_atoms:
        constraints.append(FixAtoms(parameters.fixed_atoms))  # type: ignore[no-untyped-call]
    if parameters.fixed_axes:
        mask = [axis in parameters.fixed_axes for axis in AXES]
        constraints.append(FixCartesian(list(everything), mask))  # type: ignore[no-untyped-call]
    return constraints


def _optimizer(atoms: Any, parameters: RelaxParameters, has_free_cell: bool) -> Any:
    from ase.filters import FrechetCellFilter
    from ase.optimize import BFGS, FIRE, LBFGS
    from ase.units import GPa

    if has_free_cell:
        atoms = FrechetCellFilter(  # type: ignore[no-untyped-call]
            atoms,
            hydrostatic_strain=parameters.cell == "isotropic",
            scalar_pressure=parameters.pressure * GPa,
        )
    return {"bfgs": BFGS, "lbfgs": LBFGS, "fire": FIRE}[parameters.optimizer](atoms, logfile=None)


def _step(
    number: int,
    atoms: Any,
    calculator: EngineCalculator,
    parameters: RelaxParameters,
    has_free_cell: bool,
) -> Step:
    max_force = float(np.linalg.norm(atoms.get_forces(), axis=1).max())
    found = calculator.evaluation
    assert found is not None  # noqa: S101 - asking for the forces evaluated it
    stress = found.stress_gpa if has_free_cell else None
    max_stress = 0.0 if stress is None else _pull_gpa(stress, parameters)
    return Step(
        number=number,
        structure=calculator.evaluated,
        evaluation=found,
        max_force_ev_per_a=max_force,
        max_stress_gpa=max_stress,
        excess=max(max_force / parameters.fmax, max_stress / parameters.smax),
    )


def _pull_gpa(stress_gpa: NDArray[np.float64], parameters: RelaxParameters) -> float:
    pull = stress_gpa + parameters.pressure * np.eye(3)
    if parameters.cell == "isotropic":
        return float(abs(np.trace(pull)) / 3)
    return float(np.abs(pull).max())
