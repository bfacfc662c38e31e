"""CASTEP: ``.castep``, read through ASE, and what the text says of method and end.

Of runs that are appended to each other ASE reads the last. It reads finished runs only, so the
line that ends one is added to what is unfinished.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from io import StringIO
from typing import Any

from nanoos.methods import Method, Potential
from nanoos.runs import ase_text
from nanoos.runs.ase_text import first, last, value
from nanoos.runs.k_points import grid_spacing_per_a
from nanoos.runs.run import Problem, Run, RunFolder, Step, Task
from nanoos.structures import Structure

ENDING = "Finalisation time   =      0.00 s\n"

_SIGN = re.compile(rb"Welcome to .*CASTEP|CASTEP version|Materials Studio CASTEP")
_START = re.compile(r"^.*(?:Welcome|Materials Studio).*CASTEP.*$", re.MULTILINE)
_WHOLE = re.compile(r" Forces \*|^Finalisation time", re.MULTILINE)
_BEGIN = re.compile(r"^.*(?:BFGS: (?:starting|improving) iteration|Starting MD iteration)", re.M)

_VERSION = re.compile(r"CASTEP version (\S+)")
_STARTED = re.compile(r"^ *Run started: (.+)$", re.MULTILINE)
_TASK = re.compile(r"^ *type of calculation +: +(.+)$", re.MULTILINE)
_XC = re.compile(r"^ *using functional +: +(.+)$", re.MULTILINE)
_SEDC = re.compile(r"^ *SEDC with +: +(.+?)(?: correction scheme)?$", re.MULTILINE)
_CUTOFF = re.compile(r"^ *plane wave basis set cut-off +: +([\d.]+)", re.MULTILINE)
_SPIN_ORBIT = re.compile(r"^ *spin-orbit coupling +: +(\S+)", re.MULTILINE)
_CUTOFF_USED = re.compile(r"^Calculating total energy with cut-off of +([\d.]+) *eV", re.M)
_GRID = re.compile(r"MP grid size for SCF calculation is +(\d+) +(\d+) +(\d+)")
_WIDTH = re.compile(r"^ *[Ss]mearing width +: +([\d.E+-]+)", re.MULTILINE)
_SMEARING = re.compile(r"^ *[Ss]mearing scheme +: +(.+)$", re.MULTILINE)
_POTENTIALS = re.compile(
    r"Files used for pseudopotentials:\n((?: +[A-Z][a-z]?(?::\S+)? +\S+ *\n)+)"
)
_POTENTIAL = re.compile(r"^ +([A-Z][a-z]?)(?::\S+)? +(\S+)", re.MULTILINE)
_TIME = re.compile(r"^Total time +=\s*([\d.]+) s", re.MULTILINE)
_CORES = re.compile(r"^ *Calculation parallelised over +(\d+) process", re.MULTILINE)
_CHARGE = re.compile(r"^ *net charge of system +: +(\S+)", re.MULTILINE)
_HUBBARD = re.compile(r"Hubbard U values are")
_U = re.compile(r"^[ |]*([A-Z][a-z]?) +\d+[ |]+([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+) *\|?$", re.M)
_ENERGY = re.compile(r"^ *Final energy", re.MULTILINE)
_NOT_CONVERGED = re.compile(
    r"(max\. SCF cycles performed but system has not reached the groundstate)"
)
_RELAXED = re.compile(r"Geometry optimization (completed successfully|failed to converge)")

_TASKS: Mapping[str, Task] = {
    "single point energy": "single_point",
    "geometry optimization": "relax",
    "molecular dynamics": "molecular_dynamics",
}
_FUNCTIONALS = {
    "Local Density Approximation": "LDA",
    "Perdew Wang (1991)": "PW91",
    "Perdew Burke Ernzerhof": "PBE",
    "revised Perdew Burke Ernzerhof": "RPBE",
    "PBE with Wu-Cohen exchange": "WC",
    "PBE for solids (2008)": "PBEsol",
    "hybrid PBE0": "PBE0",
    "hybrid B3LYP": "B3LYP",
    "hybrid HSE03": "HSE03",
    "hybrid HSE06": "HSE06",
}
"""As CASTEP writes them (``ase.io.castep.castep_reader``) → usual names."""


class Castep:
    """The reader of CASTEP's outputs."""

    name = "castep"

    def runs(self, folder: RunFolder) -> list[RunFolder]:
        """Return each output as a run."""
        return ase_text.outputs(folder, _SIGN)

    def read(self, run: RunFolder) -> Iterator[Step | Run]:
        """Yield the steps of an output, then its run. Raises ParseError when there is no step."""
        return ase_text.read(run, _FORMAT, _run)


def _with_ase(stream: StringIO) -> Any:
    from ase.io.castep.castep_reader import read_castep_castep

    return read_castep_castep(stream, slice(None))


_FORMAT = ase_text.Format(_with_ase, _BEGIN, _WHOLE, ENDING)


def _run(text: str, structure: Structure) -> Run:
    starts = [match.start() for match in _START.finditer(text)]
    text = text[starts[-1] :] if starts else text
    task = _TASKS.get(first(_TASK, text) or "", "other")
    relaxed = last(_RELAXED, text) if task == "relax" else None
    is_relaxed = None if relaxed is None else relaxed.startswith("completed")
    is_converged = _is_converged(text)
    problems: list[Problem] = []
    if is_converged is False:
        problems.append("electronic_steps_exhausted")
    if is_relaxed is False:
        problems.append("ionic_steps_exhausted")
    return Run(
        name="",
        method=_method(text, structure),
        task=task,
        end="finished" if _TIME.search(text) else "unfinished",
        problems=tuple(problems),
        is_electronically_converged=is_converged,
        is_ionically_converged=is_relaxed,
        wall_time_s=value(last(_TIME, text)),
        n_cores=int(first(_CORES, text) or 1),
        started_at=_date(first(_STARTED, text)),
    )


def _is_converged(text: str) -> bool | None:
    """Tell whether the last energy is of electrons that converged; a warning comes before it."""
    ends = [0, *(match.start() for match in _ENERGY.finditer(text))]
    if _NOT_CONVERGED.search(text, ends[-2 if len(ends) > 1 else -1]):
        return False
    return True if len(ends) > 1 else None


def _method(text: str, structure: Structure) -> Method:
    written = first(_XC, text)
    grid = _GRID.search(text)
    spacing = None
    if grid and structure.lattice_a is not None:
        spacing = grid_spacing_per_a(structure.lattice_a, map(int, grid.groups()))
    block = _POTENTIALS.search(text)
    charge = value(first(_CHARGE, text))
    found = {Potential(*pair) for pair in _POTENTIAL.findall(block[1])} if block else set()
    return Method(
        code="CASTEP",
        code_version=first(_VERSION, text),
        functional=_FUNCTIONALS.get(written or "", written),
        dispersion=first(_SEDC, text),
        hubbard_ev=_hubbard(text),
        potentials=tuple(sorted(found, key=lambda one: (one.element, one.title))),
        cutoff_ev=value(first(_CUTOFF, text) or last(_CUTOFF_USED, text)),
        k_spacing_per_a=spacing,
        smearing=_smearing(first(_SMEARING, text)),
        smearing_width_ev=value(first(_WIDTH, text)),
        spin="none" if "treating system as non-spin-polarized" in text else "collinear",
        spin_orbit=first(_SPIN_ORBIT, text) == "on",
        relativistic="scalar",
        further={"charge": charge} if charge else {},
    )


def _hubbard(text: str) -> dict[str, float]:
    """Return site → U in eV, of the table with a row for each atom and a column for each shell."""
    table = _HUBBARD.search(text)
    found: dict[str, float] = {}
    for element, *values in _U.findall(text, table.end()) if table else ():
        found |= {
            f"{element} {shell}": u
            for shell, written in zip("spdf", values, strict=True)
            if (u := value(written))
        }
    return found


def _smearing(written: str | None) -> str | None:
    return written.casefold().replace(" ", "-") if written else None


def _date(written: str | None) -> datetime | None:
    try:
        return datetime.strptime(written or "", "%a, %d %b %Y %H:%M:%S %z")
    except ValueError:
        return None
