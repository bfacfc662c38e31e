"""What makes pw.x fail, how that is recognised, and what is changed in the input then.

No change alters what is calculated: mixing, diagonalisation, memory, the use of symmetry and empty
bands decide how the ground state is found, not which. Signs are messages of Quantum ESPRESSO 6.7
and 7, in its output, its file CRASH or on standard error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nanoos.errors import EngineError, MemoryExceeded, NotConverged

Change = Callable[[Mapping[str, Any], str], Mapping[str, Any]]
"""From the variables of the input and what pw.x said to variables with new values."""

SCF_STEPS = 200
"""At least so many iterations are allowed once the first ones did not do."""
_STATES = re.compile(r"number of Kohn-Sham states\s*=\s*(\d+)")
_ELECTRONS = re.compile(r"number of electrons\s*=\s*([\d.]+)")


@dataclass(frozen=True)
class Cure:
    """A cause, what pw.x says then, changes to try one on top of the other, and the error last."""

    cause: str
    signs: re.Pattern[str]
    changes: tuple[Change, ...]
    error: type[EngineError] = EngineError


def _set(**values: Any) -> Change:
    return lambda _variables, _said: values


def _gentler(mixing_beta: float, **values: Any) -> Change:
    """Mix less of the new density into the old, in more iterations."""

    def change(variables: Mapping[str, Any], _: str) -> Mapping[str, Any]:
        steps = max(2 * variables.get("electron_maxstep", 100), SCF_STEPS)
        return {"mixing_beta": mixing_beta, "electron_maxstep": steps, **values}

    return change


def _other_diagonalisation(variables: Mapping[str, Any], _: str) -> Mapping[str, Any]:
    return {"diagonalization": "david" if variables.get("diagonalization") == "cg" else "cg"}


def _more_bands(variables: Mapping[str, Any], said: str) -> Mapping[str, Any]:
    """Half as many again, of those there were or of those that the electrons fill."""
    states, electrons = _STATES.search(said), _ELECTRONS.search(said)
    n = variables.get("nbnd") or (int(states[1]) if states else 0)
    filled = math.ceil(float(electrons[1]) / 2) if electrons else 0
    return {"nbnd": max(math.ceil(1.5 * n), filled + 4, n + 4)}


TOP_BAND = "the highest band is not empty"
"""Said by us where pw.x says nothing: smeared occupations reach beyond the last band."""

CURES = (
    Cure(
        "memory",
        re.compile(
            r"Cannot allocate memory|Error allocating|[Aa]llocation would exceed|bad_alloc"
            r"|insufficient virtual memory|not enough memory|Out of memory"
        ),
        (
            _set(disk_io="medium", mixing_ndim=4),
            _set(diago_david_ndim=2),
            _set(diagonalization="cg"),
        ),
        MemoryExceeded,
    ),
    Cure(
        "too few bands",
        re.compile(rf"too few bands|cannot bracket Ef|{TOP_BAND}"),
        (_more_bands,) * 4,
    ),
    Cure(
        "symmetry",
        re.compile(
            r"lone vector|not orthogonal operation|symmetry operations? not satisfied"
            r"|(?:cannot|could not) locate\s+k.?point|incompatible FFT grid"
            r"|routine (?:sgama?|sgam_at|smallg|checkallsym|scale_sym_ops|inverse_s|kpoint_grid)\b"
        ),
        (_set(nosym=True), _set(noinv=True)),
    ),
    Cure(
        "diagonalisation",
        re.compile(
            r"too many bands are not converged|problems computing cholesky"
            r"|S matrix not positive definite|routine [rc]diaghg\b"
        ),
        (_other_diagonalisation, _set(diagonalization="david", diago_david_ndim=8)),
    ),
    Cure(
        "self-consistency",
        re.compile(r"convergence NOT achieved"),
        (
            _gentler(0.3),
            _gentler(0.1, mixing_mode="local-TF"),
            _gentler(0.2, mixing_mode="plain", diagonalization="cg"),
        ),
        NotConverged,
    ),
)
"""Looked through in this order; the first whose signs are there is it."""


def cure_for(said: str) -> Cure | None:
    """Return the cure for what pw.x said, None where there is none."""
    return next((cure for cure in CURES if cure.signs.search(said)), None)
