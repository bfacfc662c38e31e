"""Pictures for reports, as small SVG documents."""

from nanoos.draw.equation_of_state import equation_of_state_svg
from nanoos.draw.hull import hull_svg
from nanoos.draw.structure import structure_svg

__all__ = ["equation_of_state_svg", "hull_svg", "structure_svg"]
