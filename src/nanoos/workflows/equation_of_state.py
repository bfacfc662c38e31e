"""Equation of state: equilibrium volume, bulk modulus and its derivative from a volume scan."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from nanoos.engines import Engine, Evaluation
from nanoos.errors import UnsupportedByEngine, WorkflowError
from nanoos.structures import Structure
from nanoos.workflows.birch_murnaghan import BirchMurnaghan, fit_birch_murnaghan
from nanoos.workflows.workflow import Outcome, Progress, refusal

SEARCH_FACTOR = 2.0
"""The minimum is looked for between the given volume divided and multiplied by this."""
MAX_RESIDUAL_EV_PER_ATOM = 1e-3
"""A fit that misses the energies by more (root mean square) does not count as converged."""
MAX_STRAY_PRESSURE = 0.01
"""Largest pressure at the fitted minimum that counts as converged, as a share of B0."""
MAX_FORCE_EV_PER_A = 0.05
"""Larger forces at the minimum get a note: the atoms would move if they were let go."""
MAX_SHEAR_GPA = 0.5
"""A larger departure from hydrostatic stress gets a note: the cell would change its shape."""


class EquationOfStateParameters(BaseModel):
    """What may be chosen; the defaults are those of the Delta test.

    ±6 % and seven points (K. Lejaeghere et al., Science 351, aad3000 (2016)): with EMT and each
    of its metals, V0 is then within 0.02 % and B0 within 1 % of their limit for narrow scans.
    B0' is softer: where the grid falls can move it by a few tenths (Al, Ni).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    volume_range: float = Field(
        default=0.06,
        ge=0.01,
        le=0.3,
        title="Volume range",
        description="How far the scan reaches on each side of the minimum, as a fraction of the "
        "volume (no unit).",
    )
    points_per_side: int = Field(
        default=3,
        ge=2,
        le=20,
        title="Points per side",
        description="Volumes on each side of the middle one: 3 makes 7 points (no unit).",
    )


@dataclass
class _Scan:
    """Energies on the volumes V(k) = V_given · (1 + range)^(k / points per side), k integer.

    The grid is fixed, so a scan that has to follow a distant minimum loses no evaluation.
    """

    structure: Structure
    given_a3: float
    parameters: EquationOfStateParameters
    engine: Engine
    progress: Progress
    energies_ev: dict[int, float] = field(default_factory=dict)
    told: float = 0.0

    def scale(self, k: int) -> float:
        """The volume at ``k`` over the given volume."""
        return float((1 + self.parameters.volume_range) ** (k / self.parameters.points_per_side))

    def volume_a3(self, k: int) -> float:
        return self.given_a3 * self.scale(k)

    def window(self) -> list[int]:
        """Evaluate until the lowest energy has its points on both sides; return these."""
        side = self.parameters.points_per_side
        middle = 0
        while True:
            window = list(range(middle - side, middle + side + 1))
            self._evaluate(window)
            lowest = min(window, key=lambda k: (self.energies_ev[k], abs(k - middle)))
            if lowest == middle:
                return window
            middle = lowest
            if not 1 / SEARCH_FACTOR < self.scale(middle) < SEARCH_FACTOR:
                raise WorkflowError(self._no_minimum())

    def _evaluate(self, window: list[int]) -> None:
        missing = [k for k in window if k not in self.energies_ev]
        expected = len(self.energies_ev) + len(missing) + 1  # and one at the fitted minimum
        for k in missing:
            self._tell(len(self.energies_ev) / expected, f"V = {self.volume_a3(k):.3f} Å3")
            evaluation = self.engine.calculate(scaled(self.structure, self.scale(k)))
            self.energies_ev[k] = evaluation.energy_ev

    def _tell(self, share: float, doing: str) -> None:
        """Report progress; a scan that finds it must walk on does not fall back."""
        self.told = max(self.told, share)
        self.progress(self.told, doing)

    def _no_minimum(self) -> str:
        first, last = min(self.energies_ev), max(self.energies_ev)
        start, end = self.energies_ev[first], self.energies_ev[last]
        trend = "falls" if end < start else "rises" if end > start else "stays level"
        return (
            f"No minimum within a factor of {SEARCH_FACTOR:g} of the given volume: the energy "
            f"{trend} from {start:.4f} eV at {self.volume_a3(first):.2f} Å3 to {end:.4f} eV at "
            f"{self.volume_a3(last):.2f} Å3. Is {self.engine.name} made for this crystal?"
        )


class EquationOfState:
    """Scan the volume around the minimum of the energy and fit a Birch–Murnaghan curve.

    The cell is scaled isotropically and the fractional coordinates stay as given. That is exact
    where symmetry fixes them, as in cubic fcc; elsewhere atoms and cell shape are not relaxed,
    and the convergence says by what forces and stress that shows. The given volume may be far
    off: the scan walks to the minimum of the engine. Nothing is random: equal input gives equal
    output, bit for bit, on one machine.
    """

    name = "equation_of_state"
    version = "1"
    title = "Equation of state: equilibrium volume, bulk modulus and its pressure derivative"
    parameters = EquationOfStateParameters
    default_engine = "emt"
    needs = frozenset({"energy", "forces", "stress"})

    def refuses(self, structure: Structure) -> str | None:
        """Return why ``structure`` has no equation of state: it must repeat in all directions."""
        if not all(structure.periodic):
            return "An equation of state needs a crystal, periodic in all three directions"
        return None

    def run(
        self,
        structure: Structure,
        parameters: EquationOfStateParameters,
        engine: Engine,
        progress: Progress,
        folder: Path,
    ) -> Outcome:
        """Scan, fit, and evaluate the crystal once more at the fitted minimum.

        Quantities: ``energy_ev`` and ``volume_a3`` of the cell at the minimum, both also per
        atom, ``bulk_modulus_gpa``, ``bulk_modulus_derivative``, and ``pressure_gpa`` and
        ``max_force_ev_per_a`` that the engine finds there. ``output_structure`` is the cell
        at the minimum.

        Raises
        ------
        UnsupportedByEngine
            If the structure is not periodic, or the engine refuses it.
        EngineError
            If an evaluation fails.
        WorkflowError
            If there is no minimum within a factor of two of the given volume.
        """
        reason, given_a3 = refusal(self, structure, engine), structure.volume_a3
        if reason is not None or given_a3 is None:
            raise UnsupportedByEngine(reason)
        scan = _Scan(structure, given_a3, parameters, engine, progress)
        window = scan.window()
        volumes = [scan.volume_a3(k) for k in window]
        energies = [scan.energies_ev[k] for k in window]
        fit = fit_birch_murnaghan(volumes, energies)
        equilibrium = scaled(structure, fit.volume_a3 / given_a3)
        there = engine.calculate(equilibrium)
        progress(1.0, f"V0 = {fit.volume_a3:.3f} Å3, B0 = {fit.bulk_modulus_gpa:.1f} GPa")

        n_atoms = structure.n_sites
        misses = fit.energies_ev(volumes) - np.array(energies)
        residual = float(np.sqrt(np.mean(misses**2))) / n_atoms
        return Outcome(
            quantities=_quantities(fit, there, n_atoms),
            data={
                "volume": {"values": volumes, "unit": "Å3"},
                "energy": {"values": energies, "unit": "eV"},
                "n_atoms": n_atoms,
                "fit": {"form": "Birch–Murnaghan, third order", **asdict(fit)},
            },
            convergence=_convergence(fit, residual, there),
            output_structure=equilibrium,
        )


def scaled(structure: Structure, volume_factor: float) -> Structure:
    """Return ``structure`` blown up isotropically, fractional coordinates kept."""
    factor = volume_factor ** (1 / 3)
    lattice = None if structure.lattice_a is None else structure.lattice_a * factor
    return replace(structure, lattice_a=lattice, positions_a=structure.positions_a * factor)


def _quantities(fit: BirchMurnaghan, there: Evaluation, n_atoms: int) -> dict[str, float]:
    return {
        "energy_ev": there.energy_ev,
        "energy_ev_per_atom": there.energy_ev / n_atoms,
        "volume_a3": fit.volume_a3,
        "volume_a3_per_atom": fit.volume_a3 / n_atoms,
        "bulk_modulus_gpa": fit.bulk_modulus_gpa,
        "bulk_modulus_derivative": fit.bulk_modulus_derivative,
        "pressure_gpa": there.pressure_gpa,
        "max_force_ev_per_a": there.max_force_ev_per_a,
    }


def _convergence(fit: BirchMurnaghan, residual: float, there: Evaluation) -> dict[str, Any]:
    notes = []
    if there.max_force_ev_per_a > MAX_FORCE_EV_PER_A:
        notes.append("Forces remain at the minimum: the atoms were not relaxed.")
    if there.max_shear_gpa > MAX_SHEAR_GPA:
        notes.append("The stress at the minimum is not hydrostatic: the cell kept its shape.")
    return {
        "converged": residual <= MAX_RESIDUAL_EV_PER_ATOM
        and abs(there.pressure_gpa) <= MAX_STRAY_PRESSURE * fit.bulk_modulus_gpa,
        "residual_ev_per_atom": residual,
        "pressure_gpa": there.pressure_gpa,
        "max_shear_gpa": there.max_shear_gpa,
        "max_force_ev_per_a": there.max_force_ev_per_a,
        "notes": notes,
    }
