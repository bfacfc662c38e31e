"""FHI-aims: its output (``aims.out``), read through ASE, and what it says of method and end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from io import StringIO
from typing import Any

from nanoos.methods import Method, Potential
from nanoos.methods.method import Spin
from nanoos.runs import ase_text
from nanoos.runs.ase_text import first, last, last_match, value
from nanoos.runs.k_points import grid_spacing_per_a
from nanoos.runs.run import Run, RunFolder, Step, Task
from nanoos.structures import Structure

_SIGN = re.compile(rb"Invoking FHI-aims|FHI-aims version")
_WHOLE = re.compile(
    r"cycle converged\.(?:.*\n)*?.*Energy and forces in a compact form:(?:.*\n){4}|Have a nice day"
)
_BEGIN = re.compile(r"^ *Begin self-consistency loop: (?:Re-i|I)nitialization", re.MULTILINE)

_VERSION = re.compile(r"^ *(?:FHI-aims version +:|Version) +(\S+)", re.MULTILINE)
_STARTED = re.compile(r"Date +: +(\d{8}), Time +: +(\d{6})")
_CORES = re.compile(r"^ *Using +(\d+) parallel tasks", re.MULTILINE)
_XC = re.compile(r"^[ \t]*xc[ \t]+([^#\n]+)", re.MULTILINE)
_XC_SAID = re.compile(r"^ *XC: (?:Using )?(.+?)\.?$", re.MULTILINE)
_RELATIVISTIC = re.compile(r"^ *(Scalar relativistic|Non-relativistic)", re.MULTILINE)
_SPIN = re.compile(r"^ *\| Number of spin channels +: +(\d)", re.MULTILINE)
_GRID = re.compile(r"^ *k_grid +(\d+) +(\d+) +(\d+)", re.MULTILINE)
_SMEARING = re.compile(
    r"Occupation type: (\w+).*?width = +([\d.E+-]+)|Defaulting to (\w+) broadening, width = +(\S+)"
)
_DISPERSION = re.compile(r"^ *(vdw_correction_hirshfeld|many_body_dispersion\w*)", re.MULTILINE)
_SETTING = re.compile(r"^[ \t]*(\w+)(?:[ \t]+([^#\n]*))?", re.MULTILINE)
_FURTHER = frozenset(
    {
        *("charge", "hybrid_xc_coeff", "hse_unit", "fixed_spin_moment"),
        *("plus_u_petukhov_mixing", "plus_u_use_mulliken", "RI_method", "basis_threshold"),
        *("homogeneous_field", "use_dipole_correction", "total_energy_method"),
    }
)
"""Further settings that change energies."""
_CONTROL = re.compile(
    r"Parsing control\.in((?:.*\n)*?) *Completed first pass over input file control"
)
_SPECIES = re.compile(r"^ *species +([A-Z][a-z]?)(\S*)\n((?:(?! *species ).*\n)*)", re.MULTILINE)
_MOVES = re.compile(r"^ *Geometry (?:relaxation: A file|optimization: )", re.MULTILINE)
_DYNAMICS = re.compile(r"molecular dynamics in \w+ ensemble|Molecular dynamics time step")
_CONVERGED = re.compile(r"^ *Self-consistency cycle converged", re.MULTILINE)
_NOT_CONVERGED = re.compile(r"^ *\*? *(Self-consistency cycle not yet converged.*)$", re.MULTILINE)
_RELAXED = re.compile(r"^ *Present geometry (is converged|is not yet converged)", re.MULTILINE)
_STOPPED = re.compile(r"^ *\* *(.*(?:[Aa]borting|stopping the run).*)$", re.MULTILINE)
_GAP = re.compile(r"(?:HOMO-LUMO gap): +([\d.]+) eV")
_DIRECT = re.compile(r"This appears to be (a direct|an indirect) band gap")
_TIME = re.compile(r"^ *\| Total time +: +[\d.]+ s +([\d.]+) s", re.MULTILINE)
_END = "Have a nice day."


class FhiAims:
    """The reader of FHI-aims's outputs."""

    name = "fhi_aims"

    def runs(self, folder: RunFolder) -> list[RunFolder]:
        """Return each output as a run."""
        return ase_text.outputs(folder, _SIGN)

    def read(self, run: RunFolder) -> Iterator[Step | Run]:
        """Yield the steps of an output, then its run. Raises ParseError when there is no step."""
        return ase_text.read(run, _FORMAT, _run)


def _with_ase(stream: StringIO) -> Any:
    from ase.io.aims import read_aims_output

    return read_aims_output(stream, slice(None), non_convergence_ok=True)


_FORMAT = ase_text.Format(_with_ase, _BEGIN, _WHOLE)


def _run(text: str, structure: Structure) -> Run:
    is_finished = _END in text
    stopped = None if is_finished else last(_STOPPED, text)
    task = _task(text)
    relaxed = last(_RELAXED, text) if task == "relax" else None
    direct = last(_DIRECT, text)
    is_electronically_converged = _is_converged(text)
    return Run(
        name="",
        method=_method(text, structure),
        task=task,
        end="finished" if is_finished else "crashed" if stopped else "unfinished",
        problems=("electronic_steps_exhausted",) if is_electronically_converged is False else (),
        message=stopped,
        is_electronically_converged=is_electronically_converged,
        is_ionically_converged=relaxed == "is converged" if relaxed else None,
        band_gap_ev=value(last(_GAP, text)),
        is_gap_direct=direct == "a direct" if direct else None,
        wall_time_s=value(last(_TIME, text)),
        n_cores=int(cores) if (cores := first(_CORES, text)) else None,
        started_at=_started(text),
    )


def _task(text: str) -> Task:
    if _DYNAMICS.search(text):
        return "molecular_dynamics"
    return "relax" if _MOVES.search(text) else "single_point"


def _is_converged(text: str) -> bool | None:
    """Tell whether the last cycle of self-consistency converged."""
    good, bad = last_match(_CONVERGED, text), last_match(_NOT_CONVERGED, text)
    if bad is not None:
        return good is not None and good.start() > bad.start()
    return None if good is None else True


def _method(text: str, structure: Structure) -> Method:
    grid, smearing = _GRID.search(text), _SMEARING.search(text)
    kind, width = [one for one in smearing.groups() if one] if smearing else (None, None)
    spacing = None
    if grid and structure.lattice_a is not None:
        spacing = grid_spacing_per_a(structure.lattice_a, map(int, grid.groups()))
    relativistic = {"Scalar relativistic": "scalar", "Non-relativistic": "none"}
    said = _settings(text)
    spins: dict[str | None, Spin] = {"1": "none", "2": "collinear"}
    return Method(
        code="FHI-aims",
        code_version=first(_VERSION, text),
        functional=first(_XC, text) or first(_XC_SAID, text),
        dispersion=first(_DISPERSION, text),
        potentials=_species(text),
        k_spacing_per_a=spacing,
        smearing=kind.casefold() if kind else None,
        smearing_width_ev=value(width),
        spin=spins.get(first(_SPIN, text)),
        spin_orbit=True if "include_spin_orbit" in said else None,
        relativistic=said.get("relativistic") or relativistic.get(first(_RELATIVISTIC, text) or ""),
        further={name: said[name] for name in sorted(_FURTHER & {*said})},
    )


def _settings(text: str) -> dict[str, str]:
    """Return what the input says, name → the rest of the line; a charge of 0 is none."""
    control = _CONTROL.search(text)
    found = _SETTING.findall(control[1]) if control else []
    said = {name: rest.strip() for name, rest in found}
    if value(said.get("charge")) == 0:
        del said["charge"]
    return said


def _species(text: str) -> tuple[Potential, ...]:
    """Return the species' settings as the input has them, known by the hash of their lines."""
    control = _CONTROL.search(text)
    found = set()
    for element, label, block in _SPECIES.findall(control[1]) if control else ():
        lines = (" ".join(line.partition("#")[0].split()) for line in block.splitlines())
        kept = "\n".join(line for line in lines if line.strip("-"))
        found.add(Potential(element, f"{element}{label}", sha256(kept.encode()).hexdigest()))
    return tuple(sorted(found, key=lambda one: (one.element, one.title, one.sha256 or "")))


def _started(text: str) -> datetime | None:
    found = _STARTED.search(text)
    try:
        return (
            datetime.strptime("".join(found.groups()), "%Y%m%d%H%M%S").astimezone()
            if found
            else None
        )
    except ValueError:
        return None
