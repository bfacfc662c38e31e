"""GPAW: its text output, read through ASE, and what the text says of method and end.

A restart file (``.gpw``) is a run of one step, unless it is named as a text is, whose last step it
repeats. What it holds of wave functions and density is not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from io import StringIO
from pathlib import PurePosixPath
from typing import Any

from nanoos.methods import Method, Potential
from nanoos.runs import ase_text, gpaw_restart
from nanoos.runs.ase_text import first, last, last_match, value
from nanoos.runs.k_points import grid_spacing_per_a
from nanoos.runs.run import Run, RunFolder, Step
from nanoos.structures import Structure

_SIGN = re.compile(rb"\|__ \|  _\|___\|_____\| ")
_WHOLE = re.compile(r"^(?:Extrapolated: .*\n|Did not converge!|Total: )", re.MULTILINE)
_BEGIN = re.compile(r"^Positions:$", re.MULTILINE)

_VERSION = re.compile(r"\|__ \|  _\|___\|_____\|\s+(\S+)")
_DATE = re.compile(r"^Date:\s+(.+)$", re.MULTILINE)
_CORES = re.compile(r"Total number of cores used: (\d+)")
_XC = re.compile(r"Using the (.+?) Exchange-Correlation functional|^XC parameters: (\S+)", re.M)
_INPUT = re.compile(r"^Input parameters:\n((?:  .*\n)+)", re.MULTILINE)
_PARAMETER = re.compile(r"^  (\w+): (.*(?:\n    .*)*)", re.MULTILINE)
_SPECIES = re.compile(
    r"^  ([A-Z][a-z]?):\n    name: .*\n    id: (\w+)\n(?:    .*\n)*?    file: (\S+)", re.MULTILINE
)
_CUTOFF = re.compile(r"Cutoff energy: ([\d.]+) eV")
_GRID = re.compile(r"(\d+) x (\d+) x (\d+) (?:Gamma-)?Monkhorst-Pack grid|(?<!\d )(\b1) k-point")
_OCCUPATIONS = re.compile(r"^Occupation numbers: *\n? *([A-Za-z-]+):\s+width[:=] ?([\d.]+)", re.M)
_CONVERGED = re.compile(r"^Converged after (\d+) iterations", re.MULTILINE)
_FAILED = re.compile(r"^(Did not converge!)", re.MULTILINE)
_TIME = re.compile(r"^Total: +([\d.]+) 100\.0%", re.MULTILINE)
_FERMI = re.compile(r"^Fermi level:\s+(\S+)", re.MULTILINE)
_GAP = re.compile(
    r"^Gap:\s+([\d.]+) eV\nTransition.*\n  \(s=\d, k=(\d+).* -> \(s=\d, k=(\d+)", re.M
)
_MOMENT = re.compile(r"^Total magnetic moment: \(\S+ \S+ (\S+)\)", re.MULTILINE)
_NO_PHYSICS = frozenset(
    {
        *("txt", "kpts", "xc", "occupations", "maxiter", "parallel", "verbose", "convergence"),
        *("symmetry", "mixer", "eigensolver", "nbands", "random", "hund", "gpts"),
    }
)


class Gpaw:
    """The reader of GPAW's outputs."""

    name = "gpaw"

    def runs(self, folder: RunFolder) -> list[RunFolder]:
        """Return each output as a run, then each restart file that belongs to none."""
        texts = ase_text.outputs(folder, _SIGN)
        stems = {PurePosixPath(name).stem for run in texts for name in run.files}
        restarts = [
            folder.alone(name)
            for name, source in folder.files.items()
            if gpaw_restart.is_restart(source) and PurePosixPath(name).stem not in stems
        ]
        return texts + restarts

    def read(self, run: RunFolder) -> Iterator[Step | Run]:
        """Yield the steps of an output, then its run. Raises ParseError when there is no step."""
        if any(map(gpaw_restart.is_restart, run.files.values())):
            return gpaw_restart.read(run)
        return ase_text.read(run, _FORMAT, _run)


def _with_ase(stream: StringIO) -> Any:
    from ase.io.gpaw_out import read_gpaw_out

    return read_gpaw_out(stream, slice(None))  # type: ignore[no-untyped-call]


_FORMAT = ase_text.Format(_with_ase, _BEGIN, _WHOLE)


def _run(text: str, structure: Structure) -> Run:
    n_steps = len(_BEGIN.findall(text))
    is_failed = _FAILED.search(text) is not None
    is_finished = _TIME.search(text) is not None
    gap = last_match(_GAP, text)
    return Run(
        name="",
        method=_method(text, structure),
        task="single_point" if n_steps < 2 else "other",  # what moves the atoms is not written
        end="finished" if is_finished else "unfinished",
        parameters=_parameters(text),
        problems=("electronic_steps_exhausted",) if is_failed else (),
        message=first(_FAILED, text),
        is_electronically_converged=False if is_failed else bool(_CONVERGED.search(text)) or None,
        band_gap_ev=value(gap[1]) if gap else None,
        is_gap_direct=gap[2] == gap[3] if gap else None,
        fermi_energy_ev=value(last(_FERMI, text)),
        total_magnetization_mu_b=value(last(_MOMENT, text)),
        wall_time_s=value(last(_TIME, text)),
        n_cores=int(cores) if (cores := first(_CORES, text)) else None,
        started_at=_date(first(_DATE, text)),
    )


def _method(text: str, structure: Structure) -> Method:
    parameters = _parameters(text)
    xc = _XC.search(text)
    occupations = _OCCUPATIONS.search(text)
    is_polarised = "Spin-polarized calculation" in text
    further = {key: said for key, said in parameters.items() if key not in _NO_PHYSICS}
    cutoff_ev = value(first(_CUTOFF, text))
    if cutoff_ev is not None:
        further.pop("mode", None)
    return Method(
        code="GPAW",
        code_version=first(_VERSION, text),
        functional=next(filter(None, xc.groups()), None) if xc else None,
        potentials=_potentials(text),
        cutoff_ev=cutoff_ev,
        k_spacing_per_a=_spacing(text, structure),
        smearing=occupations[1].casefold() if occupations else None,
        smearing_width_ev=value(occupations[2]) if occupations else None,
        spin="collinear" if is_polarised else "none",
        relativistic="scalar",
        further=further,
    )


def _parameters(text: str) -> dict[str, str]:
    """Return the input as it is written, without line breaks."""
    block = _INPUT.search(text)
    found = _PARAMETER.findall(block[1]) if block else []
    return {name: " ".join(said.split()) for name, said in found}


def _potentials(text: str) -> tuple[Potential, ...]:
    """Return the setups, each known by the MD5 that GPAW prints of its file."""
    found = {
        Potential(element, PurePosixPath(file).name, sha256(md5.encode()).hexdigest())
        for element, md5, file in _SPECIES.findall(text)
    }
    return tuple(sorted(found, key=lambda one: (one.element, one.title, one.sha256 or "")))


def _spacing(text: str, structure: Structure) -> float | None:
    grid = _GRID.search(text)
    if structure.lattice_a is None or structure.n_periodic < 3 or grid is None:
        return None
    return grid_spacing_per_a(structure.lattice_a, [int(n or 1) for n in grid.groups()[:3]])


def _date(written: str | None) -> datetime | None:
    try:
        return datetime.strptime(written or "", "%a %b %d %H:%M:%S %Y").astimezone()
    except ValueError:
        return None
