"""Which engine: made by its name, or asked which of the installed ones could."""

from __future__ import annotations

from collections.abc import Mapping, Set
from functools import cache
from typing import Any

from nanoos import plugins
from nanoos.engines.engine import Engine
from nanoos.parameters import read_parameters
from nanoos.structures import Structure

GROUP = "nanoos.engines"


def make(name: str, given: Mapping[str, Any] | None = None) -> Engine:
    """Return the engine ``name``, made from its parameters; defaults fill in what is not given.

    Raises
    ------
    PluginNotFound
        If there is no such engine; the message names those there are.
    InvalidParameters
        If it does not take them.
    """
    engine = plugins.get(GROUP, name)
    made: Engine = engine(read_parameters(name, engine.parameters, given or {}))
    return made


def capable(structure: Structure, needs: Set[str]) -> list[str]:
    """Return the names of engines that run here and give ``needs`` of ``structure`` by default."""
    return [
        engine.name
        for engine in _running()
        if needs <= engine.properties and engine.refuses(structure) is None
    ]


@cache
def _running() -> tuple[Engine, ...]:
    """Return the installed engines that run here, with their defaults."""
    made = (make(name) for name in plugins.load(GROUP))
    return tuple(engine for engine in made if engine.probe() is None)
