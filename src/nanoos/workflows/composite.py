"""Workflows of several steps, of which later ones take the structure that an earlier one found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel

P = TypeVar("P", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Step:
    """One workflow of several, which becomes a job of its own.

    Parameters
    ----------
    workflow
        The name of a workflow of a single step; no two steps have the same.
    parameters
        Those of that workflow, JSON-able; what is missing has its default.
    structure_of
        The earlier step whose relaxed structure this one takes; without one it takes what is given.
    """

    workflow: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    structure_of: str | None = None


@runtime_checkable
class Composite(Protocol):
    """A workflow of steps; the entry point is like that of any other.

    It is made without arguments and keeps no state. Each step is a job that waits for those it
    needs, and is not run where its like is there already.
    """

    name: str
    """The name under which it is asked for, as in its entry point."""
    version: str
    """Raised whenever the same input may have other steps."""
    title: str
    """What it finds, in a few words."""
    parameters: type[BaseModel]
    """The model of its parameters: defaults, bounds, units, JSON Schema."""
    default_engine: str
    """The engine of all steps where none is named."""

    def steps(self, parameters: Any) -> tuple[Step, ...]:
        """Return the steps, each after those that it needs."""
