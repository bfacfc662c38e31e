"""Which compounds of a chemical system are stable: formation energies and the convex hull."""

from nanoos.thermodynamics.hull import Decomposition, Entry, Hull, convex_hull

__all__ = ["Decomposition", "Entry", "Hull", "convex_hull"]
