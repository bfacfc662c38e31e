"""Pictures of a convex hull: of two elements over a line, of three over a triangle."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nanoos.draw.labels import Label, place
from nanoos.draw.style import ACCENT, INK, MUTED, SUBSCRIPTS, chart_style, svg_of
from nanoos.errors import ThermodynamicsError
from nanoos.thermodynamics import Hull

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

STABLE_PT, UNSTABLE_PT = 6.5, 5.0
TITLE_WIDTH = 54
"""Characters of a line."""
HEADROOM, LEAST_HEADROOM_EV, MOST_HEADROOM_EV = 0.15, 0.05, 0.3
"""Formation energies are shown up to this part of the deepest one, and the least; for compounds
that do not form, up to as much as the deepest, or the most."""
CORNERS = np.array([[0, 0], [1, 0], [0.5, 3**0.5 / 2]])
"""Where the elements are in a ternary picture: left, right, top."""


def hull_svg(hull: Hull, formulas: Sequence[str], title: str) -> str:
    """Draw a hull of two or three elements; of each composition the lowest entry is named.

    Two elements: formation energies over the composition, with the line of the hull. Three: the
    triangle of compositions, seen from above, with tie lines. Stable entries are filled, the
    others hollow, with their energy above the hull in meV per atom.

    Parameters
    ----------
    hull
        What to draw.
    formulas
        (n,) the name of each entry.
    title
        Stands above the picture.

    Raises
    ------
    ThermodynamicsError
        If there are not two or three elements.
    """
    from matplotlib.figure import Figure

    if len(hull.elements) not in {2, 3}:
        raise ThermodynamicsError(
            f"A hull of {len(hull.elements)} elements cannot be drawn; choose two or three of "
            f"{', '.join(hull.elements)}."
        )
    names = [formula.translate(SUBSCRIPTS) for formula in formulas]
    with chart_style():
        figure = Figure(figsize=(5.6, 4.6), layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(fill(title, TITLE_WIDTH), color=INK, fontweight="bold")
        points, lines = (_binary if len(hull.elements) == 2 else _ternary)(axes, hull)
        _mark(axes, hull, points)
        figure.draw_without_rendering()  # fixes where things are, so that labels find their places
        place(axes, _labels(hull, points, names), points, _dotted(lines))
        return svg_of(figure)


def _binary(axes: Axes, hull: Hull) -> tuple[Array, Array]:
    """Draw axes and line of the hull; return (n, 2) entries and (k, 2, 2) pieces of the line."""
    points = np.column_stack([hull.fractions[:, 1], hull.formation_ev_per_atom])
    line = sorted(np.unique(hull.facets), key=lambda i: points[i, 0])
    axes.plot(*points[line].T, color=INK, lw=1.6, zorder=1)
    axes.axhline(0, color=MUTED, lw=0.8, zorder=0)
    depth = -points[:, 1].min()
    top = max(HEADROOM * depth, LEAST_HEADROOM_EV)
    highest = max(points[i, 1] for i in _lowest(hull))
    top = max(top, min(1.15 * highest, max(depth, MOST_HEADROOM_EV)))
    axes.set_ylim(-1.12 * depth - 0.2 * LEAST_HEADROOM_EV, top)
    axes.set_xlim(-0.04, 1.04)
    first, second = hull.elements
    axes.set_xlabel(f"x in {first}₁₋ₓ{second}ₓ", color=INK)
    axes.set_ylabel("Formation energy (eV/atom)", color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelcolor=INK)
    return points, points[hull.facets]


def _ternary(axes: Axes, hull: Hull) -> tuple[Array, Array]:
    """Draw the triangle and tie lines; return (n, 2) entries and (3, 2, 2) sides."""
    points: Array = hull.fractions @ CORNERS
    sides = CORNERS[[[0, 1], [1, 2], [2, 0]]]
    edges = {
        tuple(sorted(pair)) for facet in hull.facets.tolist() for pair in combinations(facet, 2)
    }
    for edge in sorted(edges):
        axes.plot(*points[list(edge)].T, color=MUTED, lw=0.9, zorder=0)
    for side in sides:
        axes.plot(*side.T, color=INK, lw=1.4, zorder=1)
    axes.set_aspect("equal")
    axes.set_xlim(-0.07, 1.07)
    axes.set_ylim(-0.07, 0.93)
    axes.axis("off")
    return points, sides


def _dotted(lines: Array) -> Array:
    """Return points along lines, given by their ends, as close as no label is small."""
    share = np.linspace(0, 1, 200)[:, None, None]
    return ((1 - share) * lines[:, 0] + share * lines[:, 1]).reshape(-1, 2)


def _mark(axes: Axes, hull: Hull, points: Array) -> None:
    """Draw the entries, the stable ones over the others, and what the marks mean."""
    stable = hull.is_stable
    hollow: dict[str, Any] = {"mfc": "white", "mec": MUTED, "mew": 1.1, "ms": UNSTABLE_PT}
    filled: dict[str, Any] = {"mfc": ACCENT, "mec": "white", "mew": 0.9, "ms": STABLE_PT}
    hidden = int((points[:, 1] > axes.get_ylim()[1]).sum())
    more = f" ({hidden} higher not shown)" if hidden else ""
    what = f"unstable, + meV/atom above the hull{more}"
    axes.plot(*points[~stable].T, "o", zorder=2, label=what, **hollow)
    axes.plot(*points[stable].T, "o", zorder=3, label="stable", **filled)
    handles, labels = axes.get_legend_handles_labels()
    axes.figure.legend(
        handles[::-1],
        labels[::-1],
        loc="outside lower center",
        ncols=2,
        frameon=False,
        labelcolor=INK,
        fontsize=8.5,
        handletextpad=0.2,
    )


def _labels(hull: Hull, points: Array, names: Sequence[str]) -> list[Label]:
    """Return what to write at which point, the most important first."""
    labels = []
    for i in _lowest(hull):
        is_stable = bool(hull.is_stable[i])
        above_mev = 1e3 * hull.above_hull_ev_per_atom[i]
        text = names[i] if is_stable else f"{names[i]} +{above_mev:.0f}"
        labels.append(Label(text, tuple(points[i]), INK if is_stable else MUTED, is_stable))
    return labels


def _lowest(hull: Hull) -> list[int]:
    """Return of each composition the lowest entry, the stable ones first."""
    kept: dict[tuple[float, ...], int] = {}
    for i in np.argsort(hull.above_hull_ev_per_atom, kind="stable").tolist():
        kept.setdefault(tuple(hull.fractions[i].round(6)), i)
    return list(kept.values())
