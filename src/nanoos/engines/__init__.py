"""Engines: what turns a structure into energy, forces and stress."""

from nanoos.engines.engine import Engine, Evaluation

__all__ = ["Engine", "Evaluation"]
