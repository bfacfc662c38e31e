"""The method of results in ASE's files: the calculator's name and its parameters.

Such files rarely say all that decides an energy. Where they do not name the program, the functional
or the potentials, nothing is known to be comparable with the results of another file, so the file's
hash becomes part of the method.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ase.units import Ry

from nanoos.errors import MethodError, ParseError
from nanoos.methods import Method, of_document
from nanoos.methods.method import Spin
from nanoos.parsers.json_text import loads
from nanoos.parsers.plain import plain
from nanoos.runs.ase_results import number
from nanoos.runs.k_points import grid_spacing_per_a
from nanoos.runs.run import Problem
from nanoos.structures import Structure

UNKNOWN_CODE = "unknown"

_CODES = {
    "abinit": "ABINIT",
    "aims": "FHI-aims",
    "castep": "CASTEP",
    "chgnetcalculator": "CHGNet",
    "cp2k": "CP2K",
    "dftb": "DFTB+",
    "elk": "Elk",
    "emt": "ASE EMT",
    "espresso": "Quantum ESPRESSO",
    "gaussian": "Gaussian",
    "gpaw": "GPAW",
    "lammps": "LAMMPS",
    "lammpslib": "LAMMPS",
    "lammpsrun": "LAMMPS",
    "lj": "ASE Lennard-Jones",
    "lennardjones": "ASE Lennard-Jones",
    "macecalculator": "MACE",
    "nwchem": "NWChem",
    "octopus": "Octopus",
    "orca": "ORCA",
    "siesta": "SIESTA",
    "vasp": "VASP",
    "vasp2": "VASP",
}
_FUNCTIONALS = {
    "ASE EMT": "Effective medium theory",
    "ASE Lennard-Jones": "Lennard-Jones",
}
_POTENTIALS = ("setups", "pseudopotentials", "pseudo_potential", "species_pot", "pps", "basis")
"""What calculators call the potentials or basis sets that they were given."""
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {"ASE EMT": {"asap_cutoff": False}}
_NO_PHYSICS = frozenset(
    {
        *("txt", "command", "directory", "label", "prefix", "atoms", "restart", "profile"),
        *("logfile", "log_file", "parallel", "device", "nproc", "ncore", "npar", "kpar"),
        *("lwave", "lcharg", "species_dir", "pseudo_dir", "symlink_files", "outdir", "verbose"),
        *("keep_alive", "tmp_dir", "files", "always_triclinic", "print_level", "debug"),
    }
)


def stated_method(said: Any) -> Method | None:
    """Return the method that an export of ours wrote down; None where there is none."""
    if not isinstance(said, Mapping):
        return None
    try:
        return of_document(said)
    except (MethodError, TypeError, ValueError):
        return None


def stated_problems(said: Mapping[str, Any]) -> tuple[Problem, ...]:
    """Return what an export of ours says to be wrong with a result."""
    return ("not_converged",) if said.get("is_converged") is False else ()


def method(
    calculator: Any,
    parameters: Any,
    structure: Structure,
    sha256: str,
    *,
    functional: Any = None,
    ase_version: Any = None,
    kind: str = "",
) -> Method:
    """Return the method of a calculator, for a structure that was calculated with it.

    ``parameters`` are a mapping or its JSON text, ``functional`` what is said of it beside them;
    ``sha256`` is the file's; ``kind`` tells results apart of which a file has several (``DFT_``).
    """
    name = calculator if isinstance(calculator, str) else ""
    code = _CODES.get(name.casefold(), name) or UNKNOWN_CODE
    left = _mapping(parameters)
    xc = _first(left, "xc", "xc_functional", "functional")
    known = [xc, functional, _FUNCTIONALS.get(code)]
    functional = next((one for one in known if isinstance(one, str) and one), None)
    spacing_per_a = _spacing(_first(left, "kpts", "k_grid", "kpoint_mp_grid"), structure)
    cutoff_ev = _cutoff(left)
    smearing, width_ev = _smearing(left)
    spin = _spin(left)
    further = dict(_DEFAULTS.get(code, {})) | {
        key: value for key, value in left.items() if key not in _NO_PHYSICS
    }
    further |= {"kind": kind} if kind else {}
    is_whole = code in _FUNCTIONALS or any(further.get(name) for name in _POTENTIALS)
    if functional is None or code == UNKNOWN_CODE or not is_whole:
        further["file_sha256"] = sha256
    version = ase_version if code.startswith("ASE ") and isinstance(ase_version, str) else None
    return Method(
        code=code,
        code_version=version,
        functional=functional,
        cutoff_ev=cutoff_ev,
        k_spacing_per_a=spacing_per_a,
        smearing=smearing,
        smearing_width_ev=width_ev,
        spin=spin,
        further=further,
    )


def parameters_of(parameters: Any) -> dict[str, Any]:
    """Return the parameters as JSON can hold them."""
    return _mapping(parameters)


def _mapping(parameters: Any) -> dict[str, Any]:
    if isinstance(parameters, str):
        try:
            parameters = loads(parameters)
        except ParseError:
            return {}
    found = plain(parameters)
    return found if isinstance(found, dict) else {}


def _first(left: dict[str, Any], *names: str) -> Any:
    """Return the first that is there, and take all of them away."""
    found = [left.pop(name, None) for name in names]
    return next((one for one in found if one is not None), None)


def _spacing(grid: Any, structure: Structure) -> float | None:
    """Return the distance of k-points for what ASE's calculators take as ``kpts``."""
    from ase.calculators.calculator import kpts2sizeandoffsets

    if structure.lattice_a is None or grid is None:
        return None
    if isinstance(grid, list):
        grid = {"size": grid}
    try:
        size, _ = kpts2sizeandoffsets(atoms=structure.to_ase(), **grid)  # type: ignore[no-untyped-call]
        return grid_spacing_per_a(structure.lattice_a, size)
    except (TypeError, ValueError, ArithmeticError):  # a list of points, or a path
        return None


def _cutoff(left: dict[str, Any]) -> float | None:
    """Return the cutoff of plane waves in eV: of VASP, CASTEP, Quantum ESPRESSO and GPAW."""
    cutoff_ev = number(_first(left, "encut", "cut_off_energy"))
    mode, data = left.get("mode"), left.get("input_data")
    if isinstance(mode, dict) and mode.get("name") == "pw":
        cutoff_ev = number(mode.get("ecut"))
        del left["mode"]
    if isinstance(data, dict):
        system = data.get("system", data)
        if isinstance(system, dict) and (cutoff_ry := number(system.pop("ecutwfc", None))):
            cutoff_ev = cutoff_ry * Ry
        data.pop("control", None)
    return cutoff_ev


def _smearing(left: dict[str, Any]) -> tuple[str | None, float | None]:
    """Return kind and width in eV, as GPAW (``occupations``) and others (``smearing``) say it."""
    said = left.get("occupations", left.get("smearing"))
    if isinstance(said, dict):
        said = [said.get("name"), said.get("width")]
    if not (isinstance(said, list) and len(said) > 1 and isinstance(said[0], str)):
        return None, None
    _first(left, "occupations", "smearing")
    order = f" {said[2]}" if len(said) > 2 else ""
    return said[0].casefold() + order, number(said[1])


def _spin(left: dict[str, Any]) -> Spin | None:
    said = _first(left, "spinpol", "spin_polarized")
    return None if said is None else "collinear" if said else "none"
