"""The stiffness tensor: what follows from its 21 numbers, and what symmetry demands of them.

Tensors are 6×6 in Voigt's notation, in GPa: xx, yy, zz, yz, xz, xy; shear strains there are twice
the tensor's (J. F. Nye, Physical Properties of Crystals, Oxford 1985).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PAIRS = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
NAMES = ("xx", "yy", "zz", "yz", "xz", "xy")
LEAST_SINGULAR_VALUE = 0.3
"""Of what takes the tensor to its columns: their errors reach it at most 1/0.3 times as large."""
_WEIGHTS = np.array([1, 1, 1, np.sqrt(2), np.sqrt(2), np.sqrt(2)])


def strain_of(voigt: Array) -> Array:
    """Return the (3, 3) symmetric strain of six Voigt components."""
    strain = np.zeros((3, 3))
    for value, (i, j) in zip(voigt, PAIRS, strict=True):
        strain[i, j] = strain[j, i] = value if i == j else value / 2
    return strain


def stress_of(tensor: Array) -> Array:
    """Return the six Voigt components of a (3, 3) symmetric stress."""
    return np.array([(tensor[i, j] + tensor[j, i]) / 2 for i, j in PAIRS])


def rotated(stiffness_gpa: Array, rotation: Array) -> Array:
    """Return the tensor of the crystal turned by ``rotation``, (3, 3) and orthogonal."""
    turn = _kelvin_turn(rotation)
    return _voigt_of(turn @ kelvin_of(stiffness_gpa) @ turn.T)


def _kelvin_turn(rotation: Array) -> Array:
    """Return what a rotation of the axes is in Kelvin's notation: orthogonal, 6×6.

    Shears are weighted by √2 there (M. M. Mehrabadi, S. C. Cowin, Q. J. Mech. Appl. Math. 43, 15
    (1990)).
    """
    turned = [stress_of(rotation @ strain_of(unit) @ rotation.T) for unit in np.diag(_WEIGHTS)]
    turn: Array = _WEIGHTS[:, None] * np.array(turned).T
    return turn


def kelvin_of(stiffness_gpa: Array) -> Array:
    """Return the tensor in Kelvin's notation, whose eigenvalues do not depend on the axes."""
    kelvin: Array = stiffness_gpa * np.outer(_WEIGHTS, _WEIGHTS)
    return kelvin


def _voigt_of(kelvin_gpa: Array) -> Array:
    voigt: Array = kelvin_gpa / np.outer(_WEIGHTS, _WEIGHTS)
    return voigt


def allowed(rotations: Iterable[Array]) -> Array:
    """Return an orthonormal basis, (n, 6, 6) in Kelvin's notation, of what symmetry leaves.

    Tensors that the rotations of a point group do not change, and whose two indices may be
    exchanged: from 3 of a cubic crystal to 21 of a triclinic one (Nye, table 9).
    """
    turns = np.array([_kelvin_turn(one) for one in rotations])
    first, second = np.triu_indices(6)
    units = np.zeros((21, 6, 6))
    units[range(21), first, second] = units[range(21), second, first] = 1
    units /= np.linalg.norm(units, axis=(1, 2), keepdims=True)
    means = np.einsum("rai,kij,rbj->kab", turns, units, turns) / len(turns)
    _, share, basis = np.linalg.svd(means.reshape(21, 36))
    kept: Array = basis[:21][share > 0.5].reshape(-1, 6, 6)  # a projection: shares are 0 or 1
    return kept


def independent(basis: Array) -> tuple[int, ...]:
    """Return the fewest strains, as indices of Voigt's notation, whose stress gives the tensor.

    Of as many the ones that pass errors on least; `LEAST_SINGULAR_VALUE` bounds how much.
    """
    for n in range(1, 6):
        best = max(combinations(range(6), n), key=lambda one: round(_least(basis, one), 6))
        if _least(basis, best) > LEAST_SINGULAR_VALUE:
            return best
    return tuple(range(6))


def _least(basis: Array, strains: Sequence[int]) -> float:
    columns = basis[:, :, strains].reshape(len(basis), -1)
    if columns.shape[0] > columns.shape[1]:
        return 0.0
    return float(np.linalg.svd(columns, compute_uv=False)[-1])


def fitted(slopes_gpa: Array, strains: Sequence[int], basis: Array) -> Array:
    """Return the tensor whose columns are closest to the (6, n) slopes of stress over strains.

    By least squares in Kelvin's notation, among the tensors of ``basis``. Of all six strains it is
    the mean over the point group and over both orders of indices.
    """
    slopes = slopes_gpa * np.outer(_WEIGHTS, _WEIGHTS[list(strains)])
    columns = basis[:, :, strains].reshape(len(basis), -1)
    amounts = np.linalg.lstsq(columns.T, slopes.ravel())[0]
    return _voigt_of(np.tensordot(amounts, basis, axes=1))


def eigenvalues_gpa(stiffness_gpa: Array) -> Array:
    """Return the six eigenvalues, the smallest first.

    A crystal without stress is stable under all small homogeneous strains where all are positive:
    M. Born, K. Huang, Dynamical Theory of Crystal Lattices, Oxford 1954; F. Mouhat,
    F.-X. Coudert, Phys. Rev. B 90, 224104 (2014).
    """
    kelvin = kelvin_of(stiffness_gpa)
    return np.asarray(np.linalg.eigvalsh((kelvin + kelvin.T) / 2), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Moduli:
    """Bulk and shear modulus in GPa of a polycrystal, by one of the averages."""

    bulk_gpa: float
    shear_gpa: float

    @property
    def youngs_gpa(self) -> float:
        """Young's modulus of an isotropic solid, in GPa: 9KG / (3K + G)."""
        return 9 * self.bulk_gpa * self.shear_gpa / (3 * self.bulk_gpa + self.shear_gpa)

    @property
    def poisson_ratio(self) -> float:
        """Poisson's ratio of an isotropic solid: (3K - 2G) / (6K + 2G)."""
        return (3 * self.bulk_gpa - 2 * self.shear_gpa) / (6 * self.bulk_gpa + 2 * self.shear_gpa)


def voigt(stiffness_gpa: Array) -> Moduli:
    """Return the moduli for equal strain in all grains (W. Voigt, Lehrbuch der Kristallphysik)."""
    c = stiffness_gpa
    along, across, shears = np.trace(c[:3, :3]), c[0, 1] + c[0, 2] + c[1, 2], np.trace(c[3:, 3:])
    return Moduli(float((along + 2 * across) / 9), float((along - across + 3 * shears) / 15))


def reuss(stiffness_gpa: Array) -> Moduli:
    """Return those for equal stress (A. Reuss, Z. Angew. Math. Mech. 9, 49 (1929))."""
    s = np.linalg.inv(stiffness_gpa)
    along, across, shears = np.trace(s[:3, :3]), s[0, 1] + s[0, 2] + s[1, 2], np.trace(s[3:, 3:])
    return Moduli(
        float(1 / (along + 2 * across)), float(15 / (4 * along - 4 * across + 3 * shears))
    )


def hill(stiffness_gpa: Array) -> Moduli:
    """Return the means of both, which are bounds (R. Hill, Proc. Phys. Soc. A 65, 349 (1952))."""
    upper, lower = voigt(stiffness_gpa), reuss(stiffness_gpa)
    return Moduli((upper.bulk_gpa + lower.bulk_gpa) / 2, (upper.shear_gpa + lower.shear_gpa) / 2)


def universal_anisotropy(stiffness_gpa: Array) -> float:
    """Return 5 G_V/G_R + K_V/K_R - 6, zero for an isotropic crystal, else positive.

    S. I. Ranganathan, M. Ostoja-Starzewski, Phys. Rev. Lett. 101, 055504 (2008).
    """
    upper, lower = voigt(stiffness_gpa), reuss(stiffness_gpa)
    return 5 * upper.shear_gpa / lower.shear_gpa + upper.bulk_gpa / lower.bulk_gpa - 6
