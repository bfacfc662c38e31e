"""What a workflow is, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from nanoos.engines import Engine
from nanoos.errors import InvalidParameters
from nanoos.structures import Structure

Progress = Callable[[float, str], None]
"""Told how much is done (0..1, never falling) and what was done last."""


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
    """

    quantities: dict[str, float]
    data: dict[str, Any]
    convergence: dict[str, Any]
    output_structure: Structure | None = None


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

        The engine is asked separately.
        """

    def run(
        self, structure: Structure, parameters: P, engine: Engine, progress: Progress
    ) -> Outcome:
        """Carry it out.

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


def read_parameters(workflow: Workflow[P], given: Mapping[str, Any]) -> P:
    """Return the workflow's parameters from ``given``, defaults filled in.

    Raises
    ------
    InvalidParameters
        If a name is unknown or a value is of the wrong kind or out of bounds; all are named.
    """
    try:
        return workflow.parameters.model_validate(dict(given))
    except ValidationError as error:
        known = ", ".join(workflow.parameters.model_fields)
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()
        )
        raise InvalidParameters(f"{workflow.name}: {faults} (it takes {known})") from None
