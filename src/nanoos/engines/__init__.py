"""Engines: what turns a structure into energy, forces and stress."""

from nanoos.engines.choice import capable, make
from nanoos.engines.engine import (
    UNITS,
    Engine,
    Evaluation,
    NoParameters,
    ProgramEngine,
    RefinableEngine,
)

__all__ = [
    "UNITS",
    "Engine",
    "Evaluation",
    "NoParameters",
    "ProgramEngine",
    "RefinableEngine",
    "capable",
    "make",
]
