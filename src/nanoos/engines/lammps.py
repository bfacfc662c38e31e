"""LAMMPS with potentials of the embedded atom, Stillinger–Weber and Tersoff kinds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, files
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from nanoos.engines import lammps_potentials
from nanoos.engines.engine import Evaluation, refusal_of_elements
from nanoos.engines.lammps_potentials import DISTRIBUTED, STYLES
from nanoos.errors import EngineCrashed, EngineError, EngineUnavailable, UnsupportedByEngine
from nanoos.methods import Method, Potential
from nanoos.structures import Structure

if TYPE_CHECKING:
    from ase import Atoms

BAR_IN_GPA = 1e-4
VACUUM_A = 15.0
"""Left around the atoms in directions that do not repeat; it decides nothing."""
_FOREIGN = ("PMI", "PMIX", "SLURM", "HYDRA", "OMPI", "MPI")
"""Variables of a launcher that began us; MPI would take a run of its own for a part of that."""

_ERROR = re.compile(r"ERROR(?: on proc \d+)?: (.*)")
_INPUT = """\
units metal
atom_style atomic
boundary {boundary}
box tilt large
read_data structure.data
pair_style {style}
{coefficients}
thermo_style custom {quantities}
thermo_modify lost error
run 0
print "{energy_and_pressures}" file found.txt
write_dump all custom forces.dump id fx fy fz modify sort id format float %.15g
"""
_QUANTITIES = ("pe", "pxx", "pyy", "pzz", "pyz", "pxz", "pxy")
_FOUND = " ".join(f"$({name}:%.15g)" for name in _QUANTITIES)


class LammpsParameters(BaseModel):
    """Which potential; one is chosen by the elements if none is named."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    potential: str | None = Field(
        default=None,
        title="Potential",
        description="A file of LAMMPS's potentials by its name (Si.tersoff), or the path of "
        f"another, that ends with {', '.join(STYLES)}. Chosen by the elements if not given.",
    )


class Lammps:
    """LAMMPS, run as a program for each evaluation: a crash of it is an error, and no more.

    The potential of a structure is one of those that come with LAMMPS, chosen by its elements, or
    the one that is named. Its source is what the first line of its file says.
    """

    name = "lammps"
    parameters = LammpsParameters
    licence = "GPL-2.0-only; the potentials are their authors'"
    properties = frozenset({"energy", "forces", "stress"})

    def __init__(self, parameters: LammpsParameters | None = None) -> None:
        self._chosen = (parameters or LammpsParameters()).potential
        if self._chosen is None:
            self.elements = frozenset().union(*(file.elements for file in DISTRIBUTED))
        else:
            self.elements = _elements(self._chosen)

    @property
    def potential(self) -> str:
        """The kinds of potentials, or the chosen one with the source that its file names."""
        name = self._chosen
        if name is None or _program() is None:
            return (
                name
                or "EAM, Stillinger–Weber or Tersoff, by the elements; each file has its source"
            )
        return f"{Path(name).name}: {lammps_potentials.citation(_path(name))}"

    @property
    def version(self) -> str:
        """The version of LAMMPS, as it says it."""
        return _version(_needed_program())

    def method(self, structure: Structure | None = None) -> Method:
        """Return code, version, and the potential of the structure with the hash of its file."""
        name = self._chosen or (structure and self._name(structure))
        if not name:
            return Method(code="LAMMPS", code_version=self.version)
        path = _path(name)
        elements = structure.elements if structure else sorted(self.elements)
        return Method(
            code="LAMMPS",
            code_version=self.version,
            functional=lammps_potentials.style(path.name),
            potentials=tuple(
                Potential(element, path.name, lammps_potentials.sha256(path))
                for element in elements
            ),
            further={"source": lammps_potentials.citation(path)},
        )

    def probe(self) -> str | None:
        """Return how to get LAMMPS where it is not installed."""
        if _program() is None:
            return "LAMMPS is not installed: pip install 'nano-os[lammps]'"
        return None

    def refuses(self, structure: Structure) -> str | None:
        """Return why not: mixed sites, or elements that no potential has together."""
        if reason := refusal_of_elements("LAMMPS", self.elements, structure):
            return reason
        if self._name(structure) is None:
            return f"LAMMPS has no potential for {' and '.join(structure.elements)} as it is"
        return None

    def calculate(self, structure: Structure) -> Evaluation:
        """Return energy, forces and, for a periodic structure, stress.

        Raises
        ------
        UnsupportedByEngine
            If it refuses the structure.
        EngineUnavailable
            If LAMMPS is not installed.
        EngineCrashed
            If the program ends without a word.
        EngineError
            If it ends with an error, which is quoted.
        """
        name = self._name(structure)
        if (reason := self.refuses(structure)) or name is None:
            raise UnsupportedByEngine(reason)
        with TemporaryDirectory(prefix="nano-os-lammps-") as folder:
            return _evaluate(structure, _path(name), Path(folder))

    def _name(self, structure: Structure) -> str | None:
        if self._chosen is not None:
            return self._chosen
        file = lammps_potentials.default(frozenset(structure.elements))
        return file and file.name


def _elements(name: str) -> frozenset[str]:
    """Return the elements of a potential: of LAMMPS's own without looking at its file."""
    known = {file.name: file.elements for file in DISTRIBUTED}
    return known[name] if name in known else lammps_potentials.elements_of(Path(name))


def _evaluate(structure: Structure, potential: Path, folder: Path) -> Evaluation:
    from ase.calculators.lammps import Prism
    from ase.io.lammpsdata import write_lammps_data

    atoms = _boxed(structure)
    prism = Prism(atoms.cell.array, pbc=atoms.pbc)
    elements = list(structure.elements)
    write_lammps_data(
        folder / "structure.data",
        atoms,
        specorder=elements,
        prismobj=prism,
        masses=True,
        units="metal",
        atom_style="atomic",
    )
    style = lammps_potentials.style(potential.name)
    shutil.copyfile(potential, folder / "potential")  # LAMMPS takes no path with spaces
    names = "" if style == "eam" else f" {' '.join(elements)}"
    (folder / "in.lammps").write_text(
        _INPUT.format(
            boundary=" ".join("p" if repeats else "f" for repeats in structure.periodic),
            style=style,
            coefficients=f"pair_coeff * * potential{names}",
            quantities=" ".join(_QUANTITIES),
            energy_and_pressures=_FOUND,
        )
    )
    _run(folder)
    energy_ev, *pressures_bar = map(float, (folder / "found.txt").read_text().split())
    forces = np.loadtxt(folder / "forces.dump", skiprows=9, ndmin=2)[:, 1:]
    if not (np.isfinite([energy_ev, *pressures_bar]).all() and np.isfinite(forces).all()):
        raise EngineError("LAMMPS gave no finite energy, forces or stress: do atoms overlap?")
    xx, yy, zz, yz, xz, xy = pressures_bar
    pressure_gpa = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]) * BAR_IN_GPA
    return Evaluation(
        energy_ev,
        np.asarray(prism.vector_to_ase(forces)),
        prism.tensor2_to_ase(-pressure_gpa) if all(structure.periodic) else None,
    )


def _boxed(structure: Structure) -> Atoms:
    """Return Atoms in a cell, with room around them where they do not repeat."""
    atoms = structure.to_ase()
    open_axes = [axis for axis, repeats in enumerate(structure.periodic) if not repeats]
    if open_axes:
        atoms.center(vacuum=VACUUM_A, axis=open_axes)  # type: ignore[no-untyped-call]
    return atoms


def _run(folder: Path) -> None:
    """Run LAMMPS there; raise its error."""
    command = [_needed_program(), "-in", "in.lammps", "-log", "none", "-nocite"]
    done = subprocess.run(
        command, cwd=folder, env=_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return
    said = _ERROR.search(done.stdout + done.stderr)
    if said is None:
        raise EngineCrashed(f"LAMMPS ended with {done.returncode} and said nothing.")
    raise EngineError(f"LAMMPS: {said[1]}")


@cache
def _program() -> str | None:
    """Return the program: that of the Python package, else one on the PATH."""
    package = _package()
    own = package and package / "lmp"
    return str(own) if own and own.exists() else shutil.which("lmp")


def _needed_program() -> str:
    program = _program()
    if program is None:
        raise EngineUnavailable("LAMMPS is not installed: pip install 'nano-os[lammps]'")
    return program


def _package() -> Path | None:
    spec = find_spec("lammps")
    return Path(spec.origin).parent if spec and spec.origin else None


def _path(name: str) -> Path:
    """Return where a potential lies: one of LAMMPS's own, or a file of the user's.

    Raises EngineUnavailable where LAMMPS has it not.
    """
    if name not in {file.name for file in DISTRIBUTED}:
        return Path(name)
    folders = [Path(os.environ[key]) for key in ("LAMMPS_POTENTIALS",) if key in os.environ]
    if package := _package():
        folders.append(package / "share" / "lammps" / "potentials")
    folders.append(Path(_needed_program()).resolve().parents[1] / "share" / "lammps" / "potentials")
    for folder in folders:
        if (folder / name).exists():
            return folder / name
    raise EngineUnavailable(
        f"LAMMPS is here without its potential {name}: name their folder in LAMMPS_POTENTIALS."
    )


@cache
def _environment() -> Mapping[str, str]:
    """Return the variables for LAMMPS: one thread, the MPI of its package, no launcher's."""
    kept = {name: value for name, value in os.environ.items() if name.split("_")[0] not in _FOREIGN}
    try:
        libraries = [file for file in files("mpich") or () if file.name.startswith("libmpi.so")]
    except PackageNotFoundError:
        libraries = []
    if libraries:
        folders = [str(Path(str(libraries[0].locate())).parent), kept.get("LD_LIBRARY_PATH", "")]
        kept["LD_LIBRARY_PATH"] = ":".join(filter(None, folders))
    return kept | {"OMP_NUM_THREADS": "1"}


@cache
def _version(program: str) -> str:
    """Return the version as the program says it: ``22 Jul 2025 - Update 4``."""
    command = [program, "-h"]
    done = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)
    lines = (line.partition(" Simulator - ")[2] for line in done.stdout.splitlines())
    return next(filter(None, lines), "unknown")
