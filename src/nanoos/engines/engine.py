"""What an engine is: the seam between a workflow and the code that knows the physics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from nanoos.errors import EngineError
from nanoos.methods import Method
from nanoos.structures import Structure


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an engine found for one structure.

    Parameters
    ----------
    energy_ev
        Potential energy of all atoms of the structure, in eV. Where zero lies is the engine's
        choice: compare energies of one engine only.
    forces_ev_per_a
        (n, 3) forces in eV/Å, in the order of the structure's sites.
    stress_gpa
        (3, 3) stress in GPa, positive under tension; None where there is no periodic cell.
    is_converged
        Whether the electrons found their ground state; always so for potentials.
    further
        What else it gives, with the unit in the name (``band_gap_ev``), JSON-able.
    """

    energy_ev: float
    forces_ev_per_a: NDArray[np.float64]
    stress_gpa: NDArray[np.float64] | None
    is_converged: bool = True
    further: Mapping[str, Any] = field(default_factory=dict)

    @property
    def max_force_ev_per_a(self) -> float:
        """The length of the largest force, in eV/Å."""
        return float(np.linalg.norm(self.forces_ev_per_a, axis=1).max())

    @property
    def pressure_gpa(self) -> float:
        """Minus a third of the trace of the stress, in GPa: positive under compression."""
        return float(-np.trace(self._stress()) / 3)

    @property
    def max_shear_gpa(self) -> float:
        """The largest element of the stress beside its hydrostatic part, in GPa."""
        return float(np.abs(self._stress() + self.pressure_gpa * np.eye(3)).max())

    def _stress(self) -> NDArray[np.float64]:
        if self.stress_gpa is None:
            raise EngineError("The engine gave no stress: the structure has no periodic cell.")
        return self.stress_gpa


UNITS: Mapping[str, str] = {"energy": "eV", "forces": "eV/Å", "stress": "GPa"}
"""Every property that engines give, and its unit."""


UNKNOWN = "unknown"
"""The version of what is not installed, or does not say it."""


@cache
def version_of(package: str) -> str:
    """Return the version of an installed package, `UNKNOWN` without it; once in a process."""
    try:
        return version(package)
    except PackageNotFoundError:
        return UNKNOWN


class NoParameters(BaseModel):
    """Of an engine that leaves nothing to choose."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Engine(Protocol):
    """A code with a potential or functional that can evaluate structures.

    An engine is made from its parameters, or without arguments for their defaults: that must be
    cheap, import nothing heavy and look for no program, which is what ``probe`` does. It can be
    pickled, so that a worker may run it in another process, where it may keep what is slow to
    load. Its results depend on its parameters and the structure alone.
    """

    name: str
    """The name under which it is asked for, as in its entry point."""
    parameters: ClassVar[type[BaseModel]]
    """The model of what may be chosen: defaults, bounds, units, JSON Schema."""
    potential: str
    """The potential or functional, with its citation."""
    licence: str
    """The licence of the code and of its weights or potentials, as SPDX writes it."""
    elements: frozenset[str]
    """The symbols of the elements it can describe."""
    properties: frozenset[str]
    """What it can give, of ``energy``, ``forces`` and ``stress``; ``refinement`` if it is a
    `RefinableEngine`."""

    @property
    def version(self) -> str:
        """The version of the code that calculates."""

    def method(self, structure: Structure | None = None) -> Method:
        """Return all that decides its numbers: two equal methods give equal results.

        Potentials and meshes may depend on ``structure``; without one, what holds for all.
        """

    def probe(self) -> str | None:
        """Return None if it can run here, else why not and how to get it."""

    def refuses(self, structure: Structure) -> str | None:
        """Return None if it can evaluate ``structure``, else the reason in words.

        Elements, periodicity, disorder and whether there is a cell decide it, nothing else.
        """

    def calculate(self, structure: Structure) -> Evaluation:
        """Evaluate ``structure`` as it stands, nothing relaxed.

        Raises
        ------
        UnsupportedByEngine
            If it refuses the structure.
        EngineError
            If the calculation fails.
        """


@runtime_checkable
class RefinableEngine(Engine, Protocol):
    """An engine whose numbers converge with a cutoff of its basis and a mesh of k-points."""

    def refined(self, *, cutoff_ev: float, k_spacing_per_a: float) -> Engine:
        """Return the engine with these in place of its own, otherwise the same.

        It works for the same job and in the same folder.
        """


@runtime_checkable
class ProgramEngine(Engine, Protocol):
    """An engine that runs a program of its own, in a folder.

    It may correct an input that fails. Without ``begin`` it works in a temporary folder.
    """

    corrections: list[dict[str, Any]]
    """What it changed in inputs that failed, JSON-able: cause, change, hashes of both inputs."""
    files: list[Path]
    """The inputs and outputs to keep with the result, in its folder."""

    def begin(
        self,
        structure: Structure,
        folder: Path,
        *,
        wall_time_s: float | None = None,
        launcher: Sequence[str] = (),
    ) -> None:
        """Prepare for one job.

        Parameters
        ----------
        structure
            The job's. What follows from it, such as a mesh of k-points, holds for all that are
            evaluated and differ little from it.
        folder
            Where to write. What an earlier attempt left there is not calculated again: finished
            evaluations are read, one that was interrupted goes on.
        wall_time_s
            What is left to the job. The program is stopped in time to go on later, which raises
            Interrupted.
        launcher
            Words before the program's command: ``("mpirun", "-np", "4")``.
        """


MOST_NAMED = 12
"""So many elements are named in a refusal; of more, their number is said."""


def refusal_of_elements(name: str, elements: Set[str], structure: Structure) -> str | None:
    """Return why ``name``, who knows ``elements``, cannot evaluate ``structure``, or None.

    Mixed sites are refused too.
    """
    if not structure.is_ordered:
        return f"{name} needs one atom on every site; this structure has partly occupied sites"
    unknown = sorted(set(structure.elements) - elements)
    if not unknown:
        return None
    known = _words(sorted(elements)) if len(elements) <= MOST_NAMED else f"{len(elements)} elements"
    return f"{name} knows {known}, not {_words(unknown)}"


def _words(symbols: list[str]) -> str:
    """Return ``["A", "B", "C"]`` as "A, B and C"."""
    return " and ".join(filter(None, [", ".join(symbols[:-1]), symbols[-1]]))
