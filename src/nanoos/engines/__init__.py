"""Engines: what turns a structure into energy, forces and stress."""

from nanoos.engines.engine import Engine, Evaluation, NoParameters, ProgramEngine

__all__ = ["Engine", "Evaluation", "NoParameters", "ProgramEngine"]
