"""What all pictures have in common: colours, and how a chart becomes an SVG document."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, ACCENT, MUTED = "#1f2933", "#c2410c", "#7b8794"
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


@contextmanager
def chart_style() -> Iterator[None]:
    """Draw as all charts do: text stays text, and equal charts are equal documents."""
    from matplotlib import rc_context

    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "nano-os", "font.size": 9.5}):
        yield


def svg_of(figure: Figure) -> str:
    """Return the chart as an SVG element, to stand in a file or in HTML."""
    text = StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    svg = text.getvalue()
    return svg[svg.index("<svg") :]
