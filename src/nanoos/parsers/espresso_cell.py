"""The cells that Quantum ESPRESSO makes of ``ibrav`` and six numbers.

"Input File Description, Program: pw.x" of Quantum ESPRESSO 7, variables ibrav, celldm, A … cosBC.
Cells with ibrav -13 are as they have been since version 6.4.1: before, the first two vectors
were -v2 and v1 of today's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from ase.units import create_units
from numpy.typing import ArrayLike

from nanoos.errors import ParseError
from nanoos.structures.structure import Array

# CODATA's of the year with which ASE reads these files, so that numbers are equal to its own
_UNITS: Any = create_units("2006")  # type: ignore[no-untyped-call]
BOHR_A = float(_UNITS["Bohr"])
RYDBERG_EV = float(_UNITS["Ry"])

_Rows = ArrayLike


def bravais_cell(ibrav: int, celldm: Mapping[int, float]) -> Array:
    """Return the cell vectors as rows, in units of ``celldm(1)``.

    ``celldm`` holds what is needed of the numbers 2 to 6: b/a, c/a, and cosines. Raises
    ParseError: no such ibrav, a number that it needs is missing, or they form no cell.
    """
    if ibrav not in _CELLS:
        raise ParseError(f"ibrav = {ibrav} is none of Quantum ESPRESSO's.")
    needed, cell = _CELLS[ibrav]
    missing = [f"celldm({k})" for k in needed if k not in celldm]
    if missing:
        raise ParseError(f"ibrav = {ibrav} needs {', '.join(missing)}, or the like of A, B, C.")
    with np.errstate(all="ignore"):
        rows: Array = np.array(cell(*(np.float64(celldm[k]) for k in needed)))
    if not np.isfinite(rows).all():
        raise ParseError(f"The celldm, or A, B, C, of ibrav = {ibrav} do not form a cell.")
    return rows


def celldm_of(ibrav: int, named: Mapping[str, float]) -> dict[int, float]:
    """Return celldm from ``a``, ``b`` and ``c`` in Å, ``cosab``, ``cosac`` and ``cosbc``."""
    a = named["a"]
    cosines = {14: ("cosbc", "cosac", "cosab"), -12: ("", "cosac"), -13: ("", "cosac")}
    names = cosines.get(ibrav, ("cosab",))
    celldm = {k: named[name] for k, name in enumerate(names, 4) if name in named}
    celldm |= {k: named[name] / a for k, name in ((2, "b"), (3, "c")) if name in named}
    return celldm | {1: a / BOHR_A}


def _rhombohedral(cosine: float) -> tuple[float, float, float]:
    """Return tx, ty and tz of ibrav 5: the star of three vectors around z."""
    return np.sqrt((1 - cosine) / 2), np.sqrt((1 - cosine) / 6), np.sqrt((1 + 2 * cosine) / 3)


def _around_z(cosine: float) -> _Rows:
    x, y, z = _rhombohedral(cosine)
    return [[x, -y, z], [0, 2 * y, z], [-x, -y, z]]


def _around_111(cosine: float) -> _Rows:
    _, y, z = _rhombohedral(cosine)
    u, v = (z - 2 * np.sqrt(2) * y) / np.sqrt(3), (z + np.sqrt(2) * y) / np.sqrt(3)
    return [[u, v, v], [v, u, v], [v, v, u]]


def _sine(cosine: float) -> np.float64:
    return np.float64(np.sqrt(1 - cosine**2))


def _triclinic(b: float, c: float, alpha: float, beta: float, gamma: float) -> _Rows:
    """Angles are given by their cosines."""
    sine = _sine(gamma)
    along_y = c * (alpha - beta * gamma) / sine
    square = 1 + 2 * alpha * beta * gamma - alpha**2 - beta**2 - gamma**2
    along_z = c * float(np.sqrt(square)) / sine
    return [[1.0, 0.0, 0.0], [b * gamma, b * sine, 0.0], [c * beta, along_y, along_z]]


_CELLS: dict[int, tuple[tuple[int, ...], Callable[..., _Rows]]] = {
    1: ((), lambda: np.eye(3)),
    2: ((), lambda: [[-0.5, 0, 0.5], [0, 0.5, 0.5], [-0.5, 0.5, 0]]),
    3: ((), lambda: [[0.5, 0.5, 0.5], [-0.5, 0.5, 0.5], [-0.5, -0.5, 0.5]]),
    -3: ((), lambda: [[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]]),
    4: ((3,), lambda c: [[1, 0, 0], [-0.5, np.sqrt(3) / 2, 0], [0, 0, c]]),
    5: ((4,), _around_z),
    -5: ((4,), _around_111),
    6: ((3,), lambda c: np.diag([1, 1, c])),
    7: ((3,), lambda c: [[0.5, -0.5, c / 2], [0.5, 0.5, c / 2], [-0.5, -0.5, c / 2]]),
    8: ((2, 3), lambda b, c: np.diag([1, b, c])),
    9: ((2, 3), lambda b, c: [[0.5, b / 2, 0], [-0.5, b / 2, 0], [0, 0, c]]),
    -9: ((2, 3), lambda b, c: [[0.5, -b / 2, 0], [0.5, b / 2, 0], [0, 0, c]]),
    91: ((2, 3), lambda b, c: [[1, 0, 0], [0, b / 2, -c / 2], [0, b / 2, c / 2]]),
    10: ((2, 3), lambda b, c: [[0.5, 0, c / 2], [0.5, b / 2, 0], [0, b / 2, c / 2]]),
    11: (
        (2, 3),
        lambda b, c: [[0.5, b / 2, c / 2], [-0.5, b / 2, c / 2], [-0.5, -b / 2, c / 2]],
    ),
    12: ((2, 3, 4), lambda b, c, cos: [[1, 0, 0], [b * cos, b * _sine(cos), 0], [0, 0, c]]),
    -12: ((2, 3, 5), lambda b, c, cos: [[1, 0, 0], [0, b, 0], [c * cos, 0, c * _sine(cos)]]),
    13: (
        (2, 3, 4),
        lambda b, c, cos: [[0.5, 0, -c / 2], [b * cos, b * _sine(cos), 0], [0.5, 0, c / 2]],
    ),
    -13: (
        (2, 3, 5),
        lambda b, c, cos: [[0.5, b / 2, 0], [-0.5, b / 2, 0], [c * cos, 0, c * _sine(cos)]],
    ),
    14: ((2, 3, 4, 5, 6), _triclinic),
}
