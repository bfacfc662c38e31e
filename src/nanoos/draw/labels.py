"""Labels beside the points of a chart, where there is room for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

Array = NDArray[np.float64]

FONT_PT = 8.5
AWAY_PT = 6.0
"""From a point to its label."""
FARTHER = (1, 3, 5)
"""How many times as far a label may stand that must not be missing; a line leads to it."""
ROOM_PT = 1.5
"""Left free around a label."""
POINT_PT = 2.5
"""Left free around other points."""
SIDES = ((0, -1), (0, 1), (1, 0), (-1, 0), (1, -1), (-1, -1), (1, 1), (-1, 1))
"""Where a label may stand, best first: below, above, right, left, then aslant."""


class Label(NamedTuple):
    """What to write at a point of the chart; what is essential may stand farther away."""

    text: str
    point: tuple[float, float]
    colour: str
    is_essential: bool = False


def place(axes: Axes, labels: Iterable[Label], points: Array, lines: Array) -> None:
    """Write the labels, the first with the first choice; one that finds no room is left out.

    The limits and the place of the axes must be final; what lies outside them gets no label.
    (n, 2) points of the chart, and points on its lines, are what no label may cover.
    """
    px_per_pt = axes.figure.dpi / 72
    kept_free = [(points, POINT_PT * px_per_pt), (lines, 0.0)]
    taken: list[Bbox] = []
    for label in labels:
        centre = axes.transData.transform(label.point)
        if not axes.bbox.contains(*centre):
            continue
        text = _written(axes, label)
        size = text.get_window_extent()
        for shift, is_far in _shifts(size, label, px_per_pt):
            moved = size.translated(*(centre + shift - (size.p0 + size.p1) / 2))
            box = moved.padded(ROOM_PT * px_per_pt)
            if _is_free(axes, box, taken, kept_free):
                taken.append(box)
                text.set_position(tuple(shift / px_per_pt))
                if not is_far and text.arrow_patch is not None:
                    text.arrow_patch.set_visible(False)
                break
        else:
            text.remove()


def _written(axes: Axes, label: Label) -> Annotation:
    return axes.annotate(
        label.text,
        label.point,
        (0, 0),
        textcoords="offset points",
        color=label.colour,
        fontsize=FONT_PT,
        ha="center",
        va="center",
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5},
        arrowprops={"arrowstyle": "-", "lw": 0.6, "color": label.colour, "shrinkB": POINT_PT},
    )


def _shifts(size: Bbox, label: Label, px_per_pt: float) -> Iterator[tuple[Array, bool]]:
    """Yield where a label may stand from its point, in pixels, and whether that is far."""
    for times in FARTHER if label.is_essential else FARTHER[:1]:
        for x, y in SIDES:
            away = times * AWAY_PT * px_per_pt / np.hypot(x, y)
            yield np.array([x * (away + size.width / 2), y * (away + size.height / 2)]), times > 1


def _is_free(
    axes: Axes, box: Bbox, taken: list[Bbox], kept_free: list[tuple[Array, float]]
) -> bool:
    picture = axes.figure.bbox
    if not all(picture.contains(*corner) for corner in (box.p0, box.p1)):
        return False
    for points, around_px in kept_free:
        at_px = axes.transData.transform(points)
        near = box.padded(around_px)
        if ((at_px > near.p0) & (at_px < near.p1)).all(axis=1).any():
            return False
    return not box.count_overlaps(taken)
