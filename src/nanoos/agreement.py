"""How well two equations of state agree: ε and ν of the ACWF protocol.

E. Bosoni et al., Nat. Rev. Phys. 6, 45 (2024), who call two all-electron codes' agreement excellent
up to the first and good up to the second threshold of each.
"""

from __future__ import annotations

import numpy as np
from numpy.polynomial.legendre import leggauss

from nanoos.workflows.birch_murnaghan import BirchMurnaghan

EXCELLENT_EPSILON, GOOD_EPSILON = 0.06, 0.20
EXCELLENT_NU, GOOD_NU = 0.10, 0.33

_RANGE = 0.06
"""The curves are compared within ±6 % of the mean of both volumes."""
_WEIGHTS = np.array([1, 1 / 20, 1 / 400])
"""Of V0, B0 and B0′: how much better the first is known from energies than the others."""


def epsilon(one: BirchMurnaghan, other: BirchMurnaghan) -> float:
    """Return ε: the distance of two energy curves over their spread, without unit.

    √( ⟨(E₁ − E₂)²⟩ / √( ⟨(E₁ − ⟨E₁⟩)²⟩ ⟨(E₂ − ⟨E₂⟩)²⟩ ) ), the mean over volumes within ±6 % of the
    mean V0, each curve counted from its own minimum. The volumes are those of the same atoms.
    """
    nodes, weights = leggauss(24)
    middle = (one.volume_a3 + other.volume_a3) / 2
    volumes = middle * (1 + _RANGE * nodes)
    first, second = (curve.energies_ev(volumes) - curve.energy_ev for curve in (one, other))

    def spread(energies: np.ndarray) -> float:
        return float(np.cov(energies, aweights=weights, ddof=0))

    apart = float(np.average((first - second) ** 2, weights=weights))
    return float(np.sqrt(apart / np.sqrt(spread(first) * spread(second))))


def nu(one: BirchMurnaghan, other: BirchMurnaghan) -> float:
    """Return ν: 100 times the length of the relative differences of V0, B0 and B0′, weighted.

    The weights are 1, 1/20 and 1/400; differences are over the mean of both.
    """
    a, b = (
        np.array([c.volume_a3, c.bulk_modulus_gpa, c.bulk_modulus_derivative]) for c in (one, other)
    )
    return float(100 * np.linalg.norm(_WEIGHTS * 2 * (a - b) / (a + b)))
