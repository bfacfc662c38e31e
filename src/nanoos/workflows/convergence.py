"""Which cutoff and mesh of k-points are fine enough: both refined until the numbers stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field

from nanoos.engines import Engine, RefinableEngine
from nanoos.errors import UnsupportedByEngine
from nanoos.structures import Structure
from nanoos.workflows.workflow import Outcome, Progress, refusal

CONFIRMED_BY = 2
"""So many finer settings must agree before one is recommended: one alone may do so by chance."""


class ConvergenceParameters(BaseModel):
    """What counts as converged, and which settings are tried."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    energy_tolerance_ev_per_atom: float = Field(
        default=0.001,
        gt=0,
        title="Tolerance of the energy",
        description="Finer settings change it by at most this (unit: eV/atom).",
    )
    pressure_tolerance_gpa: float = Field(
        default=0.5,
        gt=0,
        title="Tolerance of the pressure",
        description="And the pressure by this, where there is one (unit: GPa).",
    )
    first_cutoff_ev: float = Field(
        default=300, gt=0, title="First cutoff", description="Of the wave functions (unit: eV)."
    )
    cutoff_factor: float = Field(
        default=1.2, gt=1, le=3, title="Next cutoff", description="Over the one before (no unit)."
    )
    max_cutoff_ev: float = Field(
        default=1500, gt=0, title="Last cutoff", description="None is higher (unit: eV)."
    )
    first_k_spacing_per_a: float = Field(
        default=0.6,
        gt=0,
        title="First distance of k-points",
        description="With the factor 2π (unit: 1/Å).",
    )
    k_spacing_factor: float = Field(
        default=0.8,
        gt=0.3,
        lt=1,
        title="Next distance",
        description="Over the one before (no unit).",
    )
    min_k_spacing_per_a: float = Field(
        default=0.08, gt=0.02, title="Last distance", description="None is smaller (unit: 1/Å)."
    )


@dataclass(frozen=True, slots=True)
class _Point:
    """A setting and what was found with it."""

    setting: float
    energy_ev_per_atom: float
    pressure_gpa: float | None


@dataclass
class _Scan:
    """Points from coarse to fine, and the first that all finer ones confirm."""

    tolerances: ConvergenceParameters
    points: list[_Point] = field(default_factory=list)

    def agrees(self, point: _Point) -> bool:
        """Tell whether the finest point differs by no more than the tolerances."""
        finest = self.points[-1]
        change_ev = abs(point.energy_ev_per_atom - finest.energy_ev_per_atom)
        is_close = change_ev <= self.tolerances.energy_tolerance_ev_per_atom
        if point.pressure_gpa is None or finest.pressure_gpa is None:
            return is_close
        change_gpa = abs(point.pressure_gpa - finest.pressure_gpa)
        return is_close and change_gpa <= self.tolerances.pressure_tolerance_gpa

    @property
    def coarsest(self) -> _Point | None:
        """The coarsest that all finer ones agree with; None as long as too few do."""
        agreeing = list(takewhile(self.agrees, reversed(self.points)))
        return agreeing[-1] if len(agreeing) > CONFIRMED_BY else None

    def data(self, name: str, unit: str) -> dict[str, Any]:
        """Return its curves."""
        found: dict[str, Any] = {
            f"{name}s": {"values": [one.setting for one in self.points], "unit": unit},
            f"energy_by_{name}": {
                "values": [one.energy_ev_per_atom for one in self.points],
                "unit": "eV/atom",
            },
        }
        if all(one.pressure_gpa is not None for one in self.points):
            pressures = [one.pressure_gpa for one in self.points]
            found[f"pressure_by_{name}"] = {"values": pressures, "unit": "GPa"}
        return found


class Convergence:
    """Refine the cutoff, then the mesh of k-points, until energy and pressure stay.

    A setting is recommended when all finer ones that were tried, two at least, differ from the
    finest by no more than the tolerances. The cutoff is found with the first mesh, as errors of
    the two hardly depend on each other; the mesh with the recommended cutoff. Distances of k-points
    are those of the meshes that were used. Energies are evidence only: they are of several methods,
    so none is among the quantities.
    """

    name = "convergence"
    version = "1"
    title = "Convergence: the cutoff and k-points that energy and pressure need"
    parameters = ConvergenceParameters
    default_engine = "espresso"
    needs = frozenset({"energy", "refinement"})

    def refuses(self, structure: Structure) -> str | None:
        """Return None: the engine says what it takes."""
        return None

    def run(
        self,
        structure: Structure,
        parameters: ConvergenceParameters,
        engine: Engine,
        progress: Progress,
        folder: Path,
    ) -> Outcome:
        """Refine both.

        Quantities: ``cutoff_ev`` and ``k_spacing_per_a`` as recommended, else the finest tried.
        Data: settings, energies per atom and pressures, and the tolerances.

        Raises
        ------
        UnsupportedByEngine
            If the engine has neither cutoff nor k-points, or refuses the structure.
        EngineError
            If an evaluation fails.
        """
        if (reason := refusal(self, structure, engine)) is not None:
            raise UnsupportedByEngine(reason)
        refinable = cast(RefinableEngine, engine)
        n_atoms = structure.n_sites

        def point(setting: float, refined: Engine) -> _Point:
            found = refined.calculate(structure)
            pressure = None if found.stress_gpa is None else found.pressure_gpa
            return _Point(setting, found.energy_ev / n_atoms, pressure)

        def by_cutoff() -> Iterator[_Point]:
            for cutoff_ev in _cutoffs_ev(parameters):
                yield point(
                    cutoff_ev,
                    refinable.refined(
                        cutoff_ev=cutoff_ev, k_spacing_per_a=parameters.first_k_spacing_per_a
                    ),
                )

        tell = _Teller(progress)
        cutoffs = _scanned(by_cutoff(), parameters, tell, "eV")
        cutoff = cutoffs.coarsest or cutoffs.points[-1]

        def by_mesh() -> Iterator[_Point]:
            before = None
            for k_spacing in _k_spacings_per_a(parameters):
                refined = refinable.refined(cutoff_ev=cutoff.setting, k_spacing_per_a=k_spacing)
                used = refined.method(structure).k_spacing_per_a or k_spacing
                if used != before:
                    yield point(used, refined)
                before = used

        meshes = _scanned(by_mesh(), parameters, tell, "1/Å")
        mesh = meshes.coarsest or meshes.points[-1]
        notes = [
            f"The {name} is not fine enough at {scan.points[-1].setting:.4g} {unit}."
            for name, scan, unit in (("cutoff", cutoffs, "eV"), ("mesh", meshes, "1/Å"))
            if scan.coarsest is None
        ]
        progress(1.0, f"cutoff {cutoff.setting:.0f} eV, k-points {mesh.setting:.3f} 1/Å apart")
        return Outcome(
            quantities={"cutoff_ev": cutoff.setting, "k_spacing_per_a": mesh.setting},
            data={
                "n_atoms": n_atoms,
                **cutoffs.data("cutoff", "eV"),
                **meshes.data("k_spacing", "1/Å"),
                "tolerance": {
                    "energy_ev_per_atom": parameters.energy_tolerance_ev_per_atom,
                    "pressure_gpa": parameters.pressure_tolerance_gpa,
                },
            },
            convergence={"converged": not notes, "notes": notes},
        )


@dataclass
class _Teller:
    """Tells progress of two scans of unknown length: each step covers a fifth of what is left."""

    progress: Progress
    done: float = 0.0

    def __call__(self, point: _Point, unit: str) -> None:
        self.done += 0.2 * (0.95 - self.done)
        self.progress(
            self.done,
            f"{point.setting:.4g} {unit}: {point.energy_ev_per_atom:.5f} eV/atom",
            energy_ev_per_atom=point.energy_ev_per_atom,
        )


def _scanned(
    points: Iterator[_Point],
    parameters: ConvergenceParameters,
    tell: Callable[[_Point, str], None],
    unit: str,
) -> _Scan:
    """Take points until one is confirmed, or there are no more."""
    scan = _Scan(parameters)
    for point in points:
        scan.points.append(point)
        tell(point, unit)
        if scan.coarsest is not None:
            break
    return scan


def _cutoffs_ev(parameters: ConvergenceParameters) -> Iterator[float]:
    """Yield cutoffs from the first to the last; the first in any case."""
    cutoff_ev = parameters.first_cutoff_ev
    yield cutoff_ev
    while (cutoff_ev := cutoff_ev * parameters.cutoff_factor) <= parameters.max_cutoff_ev:
        yield cutoff_ev


def _k_spacings_per_a(parameters: ConvergenceParameters) -> Iterator[float]:
    k_spacing = parameters.first_k_spacing_per_a
    yield k_spacing
    while (k_spacing := k_spacing * parameters.k_spacing_factor) >= parameters.min_k_spacing_per_a:
        yield k_spacing
