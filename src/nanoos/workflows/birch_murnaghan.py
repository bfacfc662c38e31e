"""The Birch–Murnaghan equation of state, and its fit to energies over volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import ArrayLike, NDArray

from nanoos.errors import WorkflowError


@dataclass(frozen=True, slots=True)
class BirchMurnaghan:
    """Third-order Birch–Murnaghan energy curve (F. Birch, Phys. Rev. 71, 809 (1947)).

    Parameters
    ----------
    energy_ev
        Energy at the minimum, in eV.
    volume_a3
        Volume at the minimum, in Å3.
    bulk_modulus_gpa
        Bulk modulus there, in GPa.
    bulk_modulus_derivative
        Its first derivative by pressure there, without unit.
    """

    energy_ev: float
    volume_a3: float
    bulk_modulus_gpa: float
    bulk_modulus_derivative: float

    def energies_ev(self, volumes_a3: ArrayLike) -> NDArray[np.float64]:
        """Return the energies in eV at ``volumes_a3``."""
        from ase.units import GPa

        strain = (self.volume_a3 / np.asarray(volumes_a3, float)) ** (2 / 3) - 1
        stiffness = 9 / 16 * self.volume_a3 * self.bulk_modulus_gpa * GPa
        cubic = (self.bulk_modulus_derivative - 4) * strain**3
        return np.asarray(self.energy_ev + stiffness * (2 * strain**2 + cubic))


def fit_birch_murnaghan(volumes_a3: ArrayLike, energies_ev: ArrayLike) -> BirchMurnaghan:
    """Fit the curve to at least five points by least squares.

    In x = V^(-2/3) the curve is a general cubic, so the best one is found exactly by linear
    least squares: no start values, nothing to diverge (the way of the Delta test, K. Lejaeghere
    et al., Crit. Rev. Solid State Mater. Sci. 39, 1 (2014)).

    Raises
    ------
    WorkflowError
        If the lowest energy is at the smallest or the largest volume, or the fitted curve has no
        minimum between them.
    """
    from ase.units import GPa

    volumes, energies = np.asarray(volumes_a3, float), np.asarray(energies_ev, float)
    lowest = volumes[energies.argmin()]
    if lowest in {volumes.min(), volumes.max()}:
        end, others = ("smallest", "smaller") if lowest == volumes.min() else ("largest", "larger")
        raise WorkflowError(
            f"The energies have no minimum between {volumes.min():.3f} and {volumes.max():.3f} Å3: "
            f"the lowest is that of the {end} volume. Calculate {others} ones."
        )
    curve = Polynomial.fit(volumes ** (-2 / 3), energies, deg=3)
    slope, curvature, third = curve.deriv(), curve.deriv(2), curve.deriv(3)
    minima = [
        x for x in _roots(slope) if curve.domain[0] < x < curve.domain[1] and curvature(x) > 0
    ]
    if len(minima) != 1:
        raise WorkflowError(
            f"The energies between {volumes.min():.3f} and {volumes.max():.3f} Å3 have no "
            "minimum that a Birch–Murnaghan curve could describe; try a wider range of volumes."
        )
    x = minima[0]
    volume = x ** (-3 / 2)
    # dx/dV = -2/3 x / V, so B = V d2E/dV2 = 4/9 x² E''(x) / V where E'(x) = 0; B' likewise.
    return BirchMurnaghan(
        energy_ev=float(curve(x)),
        volume_a3=float(volume),
        bulk_modulus_gpa=float(4 / 9 * x**2 * curvature(x) / volume / GPa),
        bulk_modulus_derivative=float(4 + 2 / 3 * x * third(x) / curvature(x)),
    )


def _roots(quadratic: Polynomial) -> list[float]:
    """Return the real roots, also where the leading coefficient is next to nothing (B' near 4).

    There the larger root is lost, and numpy's, eigenvalues of a matrix, would lose the other too.
    """
    c, b, a = (*quadratic.coef, 0.0, 0.0)[:3]
    if b * b < 4 * a * c:
        return []
    q = -(b + np.copysign(np.sqrt(b * b - 4 * a * c), b)) / 2
    scaled = np.array([top / bottom for top, bottom in ((q, a), (c, q)) if bottom])
    offset, scale = quadratic.mapparms()
    return [float(x) for x in (scaled - offset) / scale]
