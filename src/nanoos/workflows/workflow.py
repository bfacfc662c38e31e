"""What a workflow is, and what it hands back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

from nanoos.engines import Engine
from nanoos.structures import Structure


class Progress(Protocol):
    """Told how a job fares while it runs."""

    def __call__(self, done: float, message: str, **numbers: float) -> None:
        """Take how much is done (0..1, never falling), what was done last, and its numbers.

        These carry their unit in the name: ``step``, ``energy_ev``, ``max_force_ev_per_a``.
        """


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file that a workflow or its engine leaves in its folder, and that is kept with the result.

    Parameters
    ----------
    name
        What it is called there: ``trajectory.extxyz``.
    media_type
        As IANA names it, ``text/plain`` or ``application/octet-stream`` where it has no name.
    path
        Where it lies until the result is stored.
    """

    name: str
    media_type: str
    path: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a workflow found.

    Parameters
    ----------
    quantities
        The main numbers; the unit stands in the name (``volume_a3``).
    data
        The curves and tables behind them, JSON-able, each with its unit.
    convergence
        Whether to trust them: ``converged``, the residuals, and ``notes`` in words.
    output_structure
        The structure that the quantities belong to, where the workflow made one.
    files
        What else is kept, of any size.
    """

    quantities: dict[str, float]
    data: dict[str, Any]
    convergence: dict[str, Any]
    output_structure: Structure | None = None
    files: tuple[OutputFile, ...] = ()


P = TypeVar("P", bound=BaseModel)


class Workflow(Protocol[P]):
    """A recipe that turns a structure, parameters and an engine into an outcome.

    Like an engine it is made without arguments, keeps no state and can be pickled.
    """

    name: str
    """The name under which it is asked for, as in its entry point."""
    version: str
    """Raised whenever the same input may give another outcome."""
    title: str
    """What it finds, in a few words."""
    parameters: type[P]
    """The model of its parameters: defaults, bounds, units, JSON Schema."""
    default_engine: str
    """The engine taken when none is named."""
    needs: frozenset[str]
    """The properties the engine must give, of ``energy``, ``forces`` and ``stress``."""

    def refuses(self, structure: Structure) -> str | None:
        """Return None if it makes sense for ``structure``, else the reason in words.

        Elements, periodicity, disorder and whether there is a cell decide it, nothing else. The
        engine is asked separately.
        """

    def run(
        self,
        structure: Structure,
        parameters: P,
        engine: Engine,
        progress: Progress,
        folder: Path,
    ) -> Outcome:
        """Carry it out; files may be written to ``folder``, which nobody else uses.

        Raises
        ------
        UnsupportedByEngine
            If the engine refuses the structure.
        EngineError
            If an evaluation fails.
        WorkflowError
            If it cannot be completed.
        """


def refusal(workflow: Workflow[Any], structure: Structure, engine: Engine) -> str | None:
    """Return why ``workflow`` cannot be run for ``structure`` with ``engine``; None if it can."""
    if reason := workflow.refuses(structure):
        return reason
    if missing := workflow.needs - engine.properties:
        return f"{workflow.name} needs {', '.join(sorted(missing))}, which {engine.name} lacks"
    return engine.refuses(structure)
