"""A picture of an equation of state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nanoos.draw.style import ACCENT, INK, MUTED, chart_style, svg_of
from nanoos.workflows.birch_murnaghan import BirchMurnaghan


def equation_of_state_svg(data: Mapping[str, Any], title: str) -> str:
    """Draw energies over volumes with the fitted curve and its minimum.

    Parameters
    ----------
    data
        What the equation-of-state workflow stores: ``volume``, ``energy``, ``n_atoms``, ``fit``.
    title
        Stands above the picture.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    fit = BirchMurnaghan(**{k: v for k, v in data["fit"].items() if k != "form"})
    n_atoms = data["n_atoms"]
    volumes = np.array(data["volume"]["values"])
    energies = np.array(data["energy"]["values"])
    fine = np.linspace(volumes.min() * 0.99, volumes.max() * 1.01, 120)

    above_mev = 1e3 * (energies - fit.energy_ev) / n_atoms
    curve_mev = 1e3 * (fit.energies_ev(fine) - fit.energy_ev) / n_atoms

    with chart_style():
        figure = Figure(figsize=(4.2, 3.1), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(fine / n_atoms, curve_mev, color=INK, lw=1.6)
        axes.plot(
            volumes / n_atoms,
            above_mev,
            "o",
            ms=6,
            color=ACCENT,
            mec="white",
            mew=1,
        )
        axes.axvline(fit.volume_a3 / n_atoms, color=MUTED, lw=1, ls=(0, (4, 3)), zorder=0)
        axes.text(
            0.5,
            0.96,
            f"V₀ = {fit.volume_a3 / n_atoms:.2f} Å³/atom\nB₀ = {fit.bulk_modulus_gpa:.1f} GPa\n"
            f"B₀′ = {fit.bulk_modulus_derivative:.2f}",
            transform=axes.transAxes,
            ha="center",
            va="top",
            color=INK,
            linespacing=1.5,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 4},
        )
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.set_title(title, color=INK, fontweight="bold")
        axes.set_xlabel("Volume (Å³/atom)", color=INK)
        axes.set_ylabel("Energy above the minimum (meV/atom)", color=INK)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(MUTED)
        axes.tick_params(colors=MUTED, labelcolor=INK)
        return svg_of(figure)
