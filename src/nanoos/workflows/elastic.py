"""Elastic constants: the stress of strained cells whose atoms are relaxed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from nanoos.engines import Engine
from nanoos.errors import UnsupportedByEngine
from nanoos.structures import Structure, point_group
from nanoos.workflows import stiffness
from nanoos.workflows.descent import RelaxParameters, Step, descend
from nanoos.workflows.single_point import ELECTRONS_NOTE, evaluated_quantities
from nanoos.workflows.stiffness import Array
from nanoos.workflows.workflow import Outcome, Progress, refusal

SYMPREC_A = 0.01
"""Within this, in Å, the point group is found that the tensor must have."""
MAX_ASYMMETRY = 0.05
"""A tensor further from its symmetry (relative, Frobenius norm) does not count as converged."""
MAX_STRAY_STRESS = 0.01
"""Nor one of a cell whose stress, over the bulk modulus, is larger."""


class ElasticParameters(BaseModel):
    """How far the cell is strained, and how well its atoms are relaxed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_strain: float = Field(
        default=0.005,
        ge=1e-4,
        le=0.05,
        title="Largest strain",
        description="Of each of the six in Voigt's notation, in both directions (no unit).",
    )
    points_per_side: int = Field(
        default=2,
        ge=1,
        le=10,
        title="Points per side",
        description="Strains on each side of none: 2 makes 24 cells, fewer by symmetry (no unit).",
    )
    symmetry: bool = Field(
        default=True,
        title="Symmetry",
        description="Whether strains are left out whose stress follows from that of others by the "
        "crystal's symmetry (no unit).",
    )
    fmax: float = Field(
        default=0.002,
        gt=0,
        le=1,
        title="Largest force",
        description="Atoms of a strained cell are relaxed to this (unit: eV/Å).",
    )
    max_steps: int = Field(
        default=200,
        ge=1,
        le=100_000,
        title="Most steps",
        description="Of the relaxation of each strained cell (no unit).",
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """The cell as given with its atoms relaxed, and the slopes of stress over strain there.

    Of each of ``strains``, indices of Voigt's notation, ``slopes_gpa`` has a column.
    """

    given: Step
    strains: tuple[int, ...]
    slopes_gpa: Array
    all_relaxed: bool
    all_converged: bool


class Elastic:
    """Strain a crystal along those of six strains that symmetry leaves, and fit its stress.

    The crystal should be relaxed, cell and all: of one under stress the slopes are no elastic
    constants, which notes and convergence then say. Atoms of each strained cell are relaxed. The
    tensor is that of the structure's own Cartesian axes; its eigenvalues and averages depend on no
    axes.
    """

    name = "elastic"
    version = "2"
    title = "Elastic constants, averaged moduli, anisotropy and mechanical stability"
    parameters = ElasticParameters
    default_engine = "emt"
    needs = frozenset({"energy", "forces", "stress"})

    def refuses(self, structure: Structure) -> str | None:
        """Return why ``structure`` has none: it must repeat in all directions."""
        if not all(structure.periodic):
            return "Elastic constants need a crystal, periodic in all three directions"
        return None

    def run(
        self,
        structure: Structure,
        parameters: ElasticParameters,
        engine: Engine,
        progress: Progress,
        folder: Path,
    ) -> Outcome:
        """Strain, relax the atoms, and fit.

        Quantities: those of ``single_point`` for the given cell with its atoms relaxed; for a
        stable crystal ``bulk_modulus_gpa``, ``shear_modulus_gpa``, ``youngs_modulus_gpa`` and
        ``poisson_ratio`` by Hill's average, and ``universal_anisotropy``. Data: the stiffness as
        6×6 matrix of Voigt's notation, its compliance and eigenvalues, and the slopes that it was
        fitted to, a column for each strain.

        Raises
        ------
        UnsupportedByEngine
            If the structure is not periodic, or the engine refuses it.
        EngineError
            If an evaluation fails.
        WorkflowError
            If atoms come too close while they are relaxed.
        """
        if reason := refusal(self, structure, engine):
            raise UnsupportedByEngine(reason)
        basis = stiffness.allowed(point_group(structure, SYMPREC_A))
        strains = stiffness.independent(basis) if parameters.symmetry else tuple(range(6))
        found = _strain(structure, strains, parameters, engine, progress)
        tensor = stiffness.fitted(found.slopes_gpa, strains, basis)
        eigenvalues = stiffness.eigenvalues_gpa(tensor)
        is_stable = bool(eigenvalues[0] > 0)
        quantities = evaluated_quantities(found.given.structure, found.given.evaluation)
        if is_stable:
            quantities |= _moduli(tensor)
        progress(1.0, "stable" if is_stable else "not stable")
        return Outcome(
            quantities=quantities,
            data={
                "stiffness": {"values": tensor.tolist(), "unit": "GPa"},
                "slopes": {"values": found.slopes_gpa.tolist(), "unit": "GPa"},
                "strains": [stiffness.NAMES[one] for one in strains],
                "eigenvalues": {"values": eigenvalues.tolist(), "unit": "GPa"},
                "is_stable": is_stable,
                "notation": "Voigt: xx, yy, zz, yz, xz, xy of the structure's Cartesian axes",
                **(_bounds(tensor) if is_stable else {}),
            },
            convergence=_convergence(found, tensor, is_stable),
        )


def _strain(
    structure: Structure,
    strains: tuple[int, ...],
    parameters: ElasticParameters,
    engine: Engine,
    progress: Progress,
) -> _Found:
    within = RelaxParameters(
        cell="fixed", fmax=parameters.fmax, max_steps=parameters.max_steps, optimizer="lbfgs"
    )
    given = _last(descend(structure, within, engine))
    side = parameters.points_per_side
    sizes = parameters.max_strain * np.array([*range(-side, 0), *range(1, side + 1)]) / side
    n_cells, steps, slopes = len(strains) * len(sizes), [given], []
    for which in strains:
        stresses = []
        for size in sizes:
            progress(len(steps) / (n_cells + 1), f"{len(steps) - 1} of {n_cells} strained cells")
            cell = strained(given.structure, size * np.eye(6)[which])
            steps.append(_last(descend(cell, within, engine)))
            stress = steps[-1].evaluation.stress_gpa
            if stress is None:
                raise UnsupportedByEngine(f"{engine.name} gave no stress.")
            stresses.append(stiffness.stress_of(stress))
        slopes.append(_slopes(sizes, np.array(stresses)))
    return _Found(
        given,
        strains,
        np.array(slopes).T,
        all_relaxed=all(step.is_relaxed for step in steps),
        all_converged=all(step.evaluation.is_converged for step in steps),
    )


def _last(steps: Iterator[Step]) -> Step:
    *_, last = steps
    return last


def strained(structure: Structure, voigt: Array) -> Structure:
    """Return ``structure`` under a strain of six Voigt components, atoms carried along."""
    if structure.lattice_a is None:
        raise UnsupportedByEngine("A structure without a cell cannot be strained.")
    change = np.eye(3) + stiffness.strain_of(voigt)
    return replace(
        structure,
        lattice_a=structure.lattice_a @ change,
        positions_a=structure.positions_a @ change,
    )


def _slopes(sizes: Array, stresses_gpa: Array) -> Array:
    """Return the six slopes at zero: strains lie even around it, so that even powers drop out."""
    powers = sizes[:, None] ** ([1, 3] if len(sizes) > 2 else [1])
    slopes: Array = np.linalg.lstsq(powers, stresses_gpa)[0][0]
    return slopes


def _moduli(tensor: Array) -> dict[str, float]:
    mean = stiffness.hill(tensor)
    return {
        "bulk_modulus_gpa": mean.bulk_gpa,
        "shear_modulus_gpa": mean.shear_gpa,
        "youngs_modulus_gpa": mean.youngs_gpa,
        "poisson_ratio": mean.poisson_ratio,
        "universal_anisotropy": stiffness.universal_anisotropy(tensor),
    }


def _bounds(tensor: Array) -> dict[str, Any]:
    upper, lower = stiffness.voigt(tensor), stiffness.reuss(tensor)
    return {
        "compliance": {"values": np.linalg.inv(tensor).tolist(), "unit": "1/GPa"},
        "bulk_modulus_of_voigt_gpa": upper.bulk_gpa,
        "bulk_modulus_of_reuss_gpa": lower.bulk_gpa,
        "shear_modulus_of_voigt_gpa": upper.shear_gpa,
        "shear_modulus_of_reuss_gpa": lower.shear_gpa,
    }


def _convergence(found: _Found, tensor: Array, is_stable: bool) -> dict[str, Any]:
    columns = tensor[:, found.strains]
    asymmetry = float(np.linalg.norm(found.slopes_gpa - columns) / np.linalg.norm(columns))
    stress = found.given.evaluation.stress_gpa
    stray = 0.0 if stress is None else float(np.abs(stress).max())
    share = stray / abs(stiffness.voigt(tensor).bulk_gpa)
    notes = []
    if share > MAX_STRAY_STRESS:
        notes.append(f"The given cell has a stress of {stray:.3g} GPa: relax it first.")
    if asymmetry > MAX_ASYMMETRY:
        notes.append("The tensor lacks the symmetry of the crystal.")
    if not found.all_relaxed:
        notes.append("Forces remain in strained cells.")
    if not found.all_converged:
        notes.append(ELECTRONS_NOTE)
    converged = not notes
    if not is_stable:
        notes.append("The crystal is not stable: an eigenvalue of the stiffness is not positive.")
    return {
        "converged": converged,
        "asymmetry": asymmetry,
        "max_stress_gpa": stray,
        "max_force_ev_per_a": found.given.max_force_ev_per_a,
        "notes": notes,
    }
