"""A picture of how energies settle with the cutoff and with k-points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nanoos.draw.style import ACCENT, INK, MUTED, chart_style, svg_of

_FLOOR_MEV = 1e-3
"""What is smaller is drawn here: zero has no logarithm."""


def convergence_svg(data: Mapping[str, Any], title: str) -> str:
    """Draw how far each energy is from the finest, over the cutoff and over the k-points' distance.

    Parameters
    ----------
    data
        What the convergence workflow stores.
    title
        Stands above the picture.
    """
    from matplotlib.figure import Figure

    tolerance_mev = 1e3 * data["tolerance"]["energy_ev_per_atom"]
    with chart_style():
        figure = Figure(figsize=(6.4, 3.0), layout="constrained")
        figure.suptitle(title, color=INK, fontweight="bold")
        both = figure.subplots(1, 2, sharey=True)
        for axes, name, label in zip(
            both,
            ("cutoff", "k_spacing"),
            ("Cutoff (eV)", "Distance of k-points (1/Å)"),
            strict=True,
        ):
            settings = data[f"{name}s"]["values"]
            energies = np.array(data[f"energy_by_{name}"]["values"])
            off_mev = np.maximum(1e3 * np.abs(energies - energies[-1]), _FLOOR_MEV)
            axes.semilogy(
                settings[:-1], off_mev[:-1], "o-", ms=5, color=INK, mfc=ACCENT, mec="white"
            )
            axes.axhline(tolerance_mev, color=MUTED, lw=1, ls=(0, (4, 3)))
            axes.set_xlabel(label, color=INK)
            axes.spines[["top", "right"]].set_visible(False)
            axes.spines[["left", "bottom"]].set_color(MUTED)
            axes.tick_params(colors=MUTED, labelcolor=INK)
        both[1].invert_xaxis()
        both[0].set_ylabel("From the finest (meV/atom)", color=INK)
        return svg_of(figure)
