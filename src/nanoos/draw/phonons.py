"""A picture of phonons: bands along the path, and the density of states beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nanoos.draw.style import ACCENT, INK, MUTED, SUBSCRIPTS, chart_style, svg_of
from nanoos.workflows.phonons import IMAGINARY_THZ

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

FAR_THZ = 1e3
"""Beyond any picture: atoms do not vibrate so fast."""


class _Piece(NamedTuple):
    """A stretch of the path without a jump: its rows of the bands, and which of them have names."""

    rows: slice
    names: dict[int, str]


def phonons_svg(data: Mapping[str, Any], bands: Mapping[str, Array], title: str) -> str:
    """Draw frequencies over the path, with the names of its points, and the density of states.

    What is below zero is imaginary, and of another colour; above -0.05 THz it is noise of the
    acoustic modes at Γ, and not drawn.

    Parameters
    ----------
    data
        What the phonon workflow stores: ``special_points``, ``density_of_states``.
    bands
        The arrays of its ``bands.npz``: ``q_point``, ``distance_inverse_a``, ``frequency_thz``.
    title
        Stands above the picture.
    """
    from matplotlib.figure import Figure

    with chart_style():
        figure = Figure(figsize=(6.4, 3.6), layout="constrained")
        figure.suptitle(title, color=INK, fontweight="bold")
        along, beside = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
        _draw_bands(along, bands, list(_pieces(data["special_points"], bands["q_point"])))
        _draw_density(beside, data["density_of_states"])
        for axes in (along, beside):
            axes.axhline(0, color=MUTED, lw=0.8, zorder=0)
            axes.spines[["top", "right"]].set_visible(False)
            axes.spines[["left", "bottom"]].set_color(MUTED)
            axes.tick_params(colors=MUTED, labelcolor=INK)
        return svg_of(figure)


def _pieces(special: Mapping[str, Any], q_points: Array) -> Iterator[_Piece]:
    """Yield the pieces of the path: its points are where the bands have their wave vectors."""
    from ase.dft.kpoints import parse_path_string

    row = 0
    for names in parse_path_string(special["path"]):  # type: ignore[no-untyped-call]
        first, named = row, {}
        for name in names:
            q = special["frequencies"][name]["q_point"]
            row += int(np.isclose(q_points[row:], q, atol=1e-6).all(axis=1).argmax())
            named[row] = name
        row += 1
        yield _Piece(slice(first, row), named)


def _draw_bands(axes: Axes, bands: Mapping[str, Array], pieces: list[_Piece]) -> None:
    distance, frequency = bands["distance_inverse_a"], bands["frequency_thz"]
    ticks: dict[float, str] = {}
    for piece in pieces:
        for colour in _colours(frequency):
            x, y = distance[piece.rows], frequency[piece.rows]
            _cut_at_zero(axes, colour, *axes.plot(x, y, color=colour, lw=1.2))
        for row, name in piece.names.items():
            at, shown = float(distance[row]), _shown(name)
            ticks[at] = f"{ticks[at]}|{shown}" if at in ticks else shown
    for at in ticks:
        axes.axvline(at, color=MUTED, lw=0.6, zorder=0)
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.set_xlim(distance[0], distance[-1])
    axes.set_ylabel("Frequency (THz)", color=INK)


def _draw_density(axes: Axes, density_of_states: Mapping[str, Any]) -> None:
    frequency = np.array(density_of_states["frequency"]["values"])
    density = np.array(density_of_states["density"]["values"]) / density_of_states["n_atoms"]
    for colour in _colours(frequency):
        (line,) = axes.plot(density, frequency, color=colour, lw=1.2)
        area = axes.fill_betweenx(frequency, density, color=colour, alpha=0.12, lw=0)
        _cut_at_zero(axes, colour, line, area)
        if colour == ACCENT:
            place: dict[str, Any] = {"transform": axes.transAxes, "ha": "right"}
            axes.text(0.97, 0.02, "imaginary", color=colour, **place)
    axes.set_xlim(left=0)
    axes.set_xlabel("States (1/THz/atom)", color=INK)


def _colours(frequency_thz: Array) -> tuple[str, ...]:
    return (INK, ACCENT) if frequency_thz.min() < IMAGINARY_THZ else (INK,)


def _cut_at_zero(axes: Axes, colour: str, *artists: Artist) -> None:
    """Show of what is imaginary, by its colour, the part below zero, of the rest the part above."""
    from matplotlib.patches import Rectangle

    half = Rectangle((0, 0), 1, -FAR_THZ if colour == ACCENT else FAR_THZ)
    half.set_transform(axes.get_yaxis_transform())
    for artist in artists:
        artist.set_clip_path(half)


def _shown(name: str) -> str:
    return name.replace("G", "Γ").replace("_", "").translate(SUBSCRIPTS)
