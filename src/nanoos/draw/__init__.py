"""Pictures for reports, as small SVG documents."""

from nanoos.draw.convergence import convergence_svg
from nanoos.draw.equation_of_state import equation_of_state_svg
from nanoos.draw.hull import hull_svg
from nanoos.draw.phonons import phonons_svg
from nanoos.draw.structure import structure_svg

__all__ = ["convergence_svg", "equation_of_state_svg", "hull_svg", "phonons_svg", "structure_svg"]
