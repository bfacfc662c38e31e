"""Atomic structures and what can be said of one: formulas, symmetry, fingerprint."""

from nanoos.structures.analysis import ANALYSIS_VERSION, Analysis, analyse
from nanoos.structures.fingerprint import FINGERPRINT_VERSION, fingerprint
from nanoos.structures.structure import Species, Structure
from nanoos.structures.symmetry import SpaceGroup, point_group, space_group

__all__ = [
    "ANALYSIS_VERSION",
    "FINGERPRINT_VERSION",
    "Analysis",
    "SpaceGroup",
    "Species",
    "Structure",
    "analyse",
    "fingerprint",
    "point_group",
    "space_group",
]
