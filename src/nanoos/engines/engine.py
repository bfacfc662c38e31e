"""What an engine is: the seam between a workflow and the code that knows the physics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

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
    """What it can give, of ``energy``, ``forces`` and ``stress``."""

    @property
    def version(self) -> str:
        """The version of the code that calculates."""

    def method(self) -> Method:
        """Return all that decides its numbers: two equal methods give equal results."""

    def probe(self) -> str | None:
        """Return None if it can run here, else why not and how to get it."""

    def refuses(self, structure: Structure) -> str | None:
        """Return None if it can evaluate ``structure``, else the reason in words."""

    def calculate(self, structure: Structure) -> Evaluation:
        """Evaluate ``structure`` as it stands, nothing relaxed.

        Raises
        ------
        UnsupportedByEngine
            If it refuses the structure.
        EngineError
            If the calculation fails.
        """
