"""Quantum ESPRESSO: density-functional theory with plane waves, by its program pw.x."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from nanoos.engines.engine import UNKNOWN, Evaluation
from nanoos.engines.espresso_calculation import (
    BANNER,
    STOPPED_BEFORE,
    STOPPED_BEFORE_AT_MOST_S,
    Calculation,
)
from nanoos.engines.espresso_input import PwInput, mesh_of
from nanoos.engines.espresso_parameters import (
    CUTOFF_RY,
    MAGNETIC,
    STARTING_MAGNETIZATION,
    EspressoParameters,
)
from nanoos.engines.espresso_terms import DISPERSIONS, sites, u_input
from nanoos.engines.pseudopotentials import Pseudopotential, Pseudopotentials
from nanoos.errors import EngineError, EngineUnavailable, UnsupportedByEngine
from nanoos.methods import Method
from nanoos.parsers.espresso_cell import RYDBERG_EV
from nanoos.runs.k_points import grid_spacing_per_a
from nanoos.runs.run import Run, Step
from nanoos.structures import Structure

COMMAND = "NANO_OS_PW_COMMAND"
FOLDERS = ("NANO_OS_PSEUDOPOTENTIALS", "ESPRESSO_PSEUDO")
LAUNCHERS = frozenset({"mpirun", "mpiexec", "orterun", "prterun", "srun"})
"""Words that a command begins with which says how many ranks there are."""
DEBIAN_FOLDER = Path("/usr/share/espresso/pseudo")

DENSITY_FACTOR, AUGMENTED_DENSITY_FACTOR = 4, 8
"""The density's cutoff over that of the wave functions, where none is suggested: of products of
wave functions, and with the augmentation of ultrasoft and PAW potentials."""
SCF_TOLERANCE_RY_PER_ATOM = 1e-10
"""Estimated error of the energy at which the electrons count as converged."""
SAME_SHAPE = 0.15
"""Cells whose reciprocal vectors differ by this share or less from the job's have its mesh."""

_SMEARINGS = {
    "cold": "mv",
    "gaussian": "gaussian",
    "methfessel-paxton 1": "mp",
    "fermi-dirac": "fd",
}


class Espresso:
    """Energy, forces and stress by pw.x of Quantum ESPRESSO, a program that is installed apart.

    The command is ``pw.x``, or ``NANO_OS_PW_COMMAND``. Pseudopotentials lie in the folder
    ``NANO_OS_PSEUDOPOTENTIALS``, else in ``ESPRESSO_PSEUDO``, else where Debian's package has them.
    Energies are those of pw.x: with smearing, free energies. Inputs that fail are corrected as
    `nanoos.engines.espresso_cures` says, which changes no result.
    """

    name = "espresso"
    parameters = EspressoParameters
    licence = "GPL-2.0-or-later"
    potential = (
        "Kohn–Sham density-functional theory by Quantum ESPRESSO: P. Giannozzi et al., J. Phys.: "
        "Condens. Matter 21, 395502 (2009) and 29, 465901 (2017)"
    )
    properties = frozenset({"energy", "forces", "stress", "refinement"})

    def __init__(self, parameters: EspressoParameters | None = None) -> None:
        self.chosen = parameters or EspressoParameters()
        self.corrections: list[dict[str, Any]] = []
        self.files: list[Path] = []
        self._job: Structure | None = None
        self._folder: Path | None = None
        self._deadline: float | None = None
        self._spare_s = 0.0
        self._launcher: tuple[str, ...] = ()

    def begin(
        self,
        structure: Structure,
        folder: Path,
        *,
        wall_time_s: float | None = None,
        launcher: Sequence[str] = (),
    ) -> None:
        """Prepare for one job; see `nanoos.engines.ProgramEngine`."""
        self.corrections, self.files = [], []
        self._job, self._folder, self._launcher = structure, folder, tuple(launcher)
        self._deadline, self._spare_s = None, 0.0
        if wall_time_s is not None:
            self._deadline = time.monotonic() + wall_time_s
            self._spare_s = min(STOPPED_BEFORE_AT_MOST_S, STOPPED_BEFORE * wall_time_s)

    def refined(self, *, cutoff_ev: float, k_spacing_per_a: float) -> Espresso:
        """Return the engine with these; a density's cutoff that was chosen keeps its ratio."""
        given = self.chosen
        change: dict[str, float] = {"cutoff_ev": cutoff_ev, "k_spacing_per_a": k_spacing_per_a}
        if given.density_cutoff_ev and given.cutoff_ev:
            change["density_cutoff_ev"] = given.density_cutoff_ev * cutoff_ev / given.cutoff_ev
        refined = copy(self)
        refined.chosen = given.model_copy(update=change)
        return refined

    @property
    def elements(self) -> frozenset[str]:
        """The elements with a pseudopotential in the folder."""
        return self._there().elements

    @property
    def version(self) -> str:
        """What pw.x says it is; `UNKNOWN` where it is not installed."""
        return _version(_program()) or UNKNOWN

    def method(self, structure: Structure | None = None) -> Method:
        """Return the method, with potentials, cutoffs and mesh where the structure is known."""
        chosen, version = self.chosen, self.version
        common = Method(
            code="Quantum ESPRESSO",
            code_version=None if version == UNKNOWN else version,
            functional=chosen.functional,
            dispersion=chosen.dispersion,
            hubbard_ev=sites(chosen.hubbard_ev),
            cutoff_ev=chosen.cutoff_ev,
            density_cutoff_ev=chosen.density_cutoff_ev,
            k_spacing_per_a=chosen.k_spacing_per_a,
            smearing=chosen.smearing,
            smearing_width_ev=None if chosen.smearing == "fixed" else chosen.smearing_width_ev,
            spin_orbit=False,
        )
        if structure is None or structure.lattice_a is None or not self._suits(structure):
            return common
        potentials = self._potentials(structure)
        cutoff_ry, density_cutoff_ry = self._cutoffs_ry(potentials)
        return replace(
            common,
            functional=next(iter(potentials.values())).functional,
            hubbard_ev=sites({one: u for one, u in chosen.hubbard_ev.items() if one in potentials}),
            potentials=tuple(one.potential for one in potentials.values()),
            cutoff_ev=cutoff_ry * RYDBERG_EV,
            density_cutoff_ev=density_cutoff_ry * RYDBERG_EV,
            k_spacing_per_a=grid_spacing_per_a(structure.lattice_a, self._mesh(structure)),
            spin="collinear" if self._is_polarised(structure) else "none",
        )

    def probe(self) -> str | None:
        """Return what is missing, the program or pseudopotentials, and how to get it."""
        program = _command()[0]
        if shutil.which(program) is None:
            return (
                f"{program} is not installed: apt-get install quantum-espresso, or "
                f"https://www.quantum-espresso.org; {COMMAND} names another command"
            )
        if not self._there().files:
            return (
                f"there are no pseudopotentials: {FOLDERS[0]} names a folder of UPF files, such as "
                "those of https://www.materialscloud.org/sssp"
            )
        return None

    def refuses(self, structure: Structure) -> str | None:
        """Return why not: mixed sites, no cell, or no pseudopotentials of one functional.

        Where this machine has no pseudopotentials at all, that is left to the one that runs it.
        """
        if not structure.is_ordered:
            return (
                "Quantum ESPRESSO needs one atom on every site; this structure has partly "
                "occupied sites"
            )
        if structure.lattice_a is None:
            return "Quantum ESPRESSO needs a cell; put the molecule into a box"
        if not self._there().files:
            return None
        try:
            self._potentials(structure)
        except UnsupportedByEngine as error:
            return str(error)
        return None

    def _suits(self, structure: Structure) -> bool:
        return bool(self._there().files) and self.refuses(structure) is None

    def calculate(self, structure: Structure) -> Evaluation:
        """Return energy, forces, stress, moments and levels.

        Raises
        ------
        UnsupportedByEngine
            If it refuses the structure.
        EngineUnavailable
            If the program is not there.
        Interrupted
            If the job's time is nearly up.
        NotConverged, MemoryExceeded, EngineCrashed, EngineError
            If pw.x fails, whatever is corrected.
        """
        if reason := self.refuses(structure):
            raise UnsupportedByEngine(reason)
        if not self._there().files:
            raise EngineUnavailable(self.probe())
        given = self._input(structure)
        with self._place() as folder:
            calculation = Calculation(
                given,
                folder / f"pw-{given.sha256[:12]}",
                self._started_command(),
                self._deadline,
                self._spare_s,
            )
            try:
                step, run = calculation.finish()
            finally:
                self.corrections += calculation.corrections
                self.files += calculation.files
        return self._evaluation(structure, step, run)

    def _evaluation(self, structure: Structure, step: Step, run: Run) -> Evaluation:
        if step.energy_ev is None or step.forces_ev_per_a is None:
            raise EngineError("pw.x ended without energy and forces.")
        further = {
            "fermi_energy_ev": run.fermi_energy_ev,
            "band_gap_ev": run.band_gap_ev,
            "total_magnetization_mu_b": run.total_magnetization_mu_b,
            "electronic_steps": step.electronic_steps,
        }
        if step.magnetic_moments_mu_b is not None:
            further["magnetic_moments_mu_b"] = step.magnetic_moments_mu_b.tolist()
        return Evaluation(
            step.energy_ev,
            step.forces_ev_per_a,
            step.stress_gpa if all(structure.periodic) else None,
            is_converged=bool(run.is_electronically_converged),
            further={name: value for name, value in further.items() if value is not None},
        )

    def _input(self, structure: Structure) -> PwInput:
        chosen = self.chosen
        potentials = self._potentials(structure)
        cutoff_ry, density_cutoff_ry = self._cutoffs_ry(potentials)
        variables: dict[str, Any] = {
            "disk_io": "low",
            "ecutwfc": round(cutoff_ry, 6),
            "ecutrho": round(density_cutoff_ry, 6),
            "occupations": "fixed" if chosen.smearing == "fixed" else "smearing",
            "conv_thr": SCF_TOLERANCE_RY_PER_ATOM * structure.n_sites,
            "electron_maxstep": chosen.max_electronic_steps,
            "mixing_beta": chosen.mixing_beta,
            "diagonalization": chosen.diagonalization,
        }
        if chosen.smearing != "fixed":
            variables["smearing"] = _SMEARINGS[chosen.smearing]
            variables["degauss"] = chosen.smearing_width_ev / RYDBERG_EV
        if chosen.n_bands is not None:
            variables["nbnd"] = chosen.n_bands
        if self._is_polarised(structure):
            variables["nspin"] = 2
            for place, (element, one) in enumerate(potentials.items(), 1):
                variables[f"starting_magnetization({place})"] = self._magnetization(element, one)
        if chosen.dispersion is not None:
            variables |= DISPERSIONS[chosen.dispersion]
        of_u, card = u_input(chosen.hubbard_ev, potentials, self.version)
        return PwInput(structure, potentials, self._mesh(structure), variables | of_u, card)

    def _magnetization(self, element: str, one: Pseudopotential) -> float:
        moment = self.chosen.starting_moments_mu_b.get(element)
        if moment is not None:
            return max(-1.0, min(1.0, moment / one.n_valence))
        return STARTING_MAGNETIZATION if element in MAGNETIC else 0.0

    def _is_polarised(self, structure: Structure) -> bool:
        if self.chosen.spin == "auto":
            return bool((MAGNETIC | set(self.chosen.starting_moments_mu_b)) & {*structure.elements})
        return self.chosen.spin == "collinear"

    def _mesh(self, structure: Structure) -> tuple[int, int, int]:
        """Return the job's mesh where the cell is much like the job's, else one of its own."""
        assert structure.lattice_a is not None  # noqa: S101 - refused before
        model = structure
        if self._job is not None and self._job.lattice_a is not None:
            lengths = [
                np.linalg.norm(np.linalg.inv(one), axis=0)
                for one in (structure.lattice_a, self._job.lattice_a)
            ]
            if np.allclose(lengths[0], lengths[1], rtol=SAME_SHAPE, atol=0):
                model = self._job
        assert model.lattice_a is not None  # noqa: S101 - as above
        a, b, c = mesh_of(model.lattice_a, model.periodic, self.chosen.k_spacing_per_a)
        return int(a), int(b), int(c)

    def _cutoffs_ry(self, potentials: dict[str, Pseudopotential]) -> tuple[float, float]:
        """Return the cutoffs of wave functions and density."""
        chosen, used = self.chosen, potentials.values()
        cutoff_ev = chosen.cutoff_ev or max(one.cutoff_ev or CUTOFF_RY * RYDBERG_EV for one in used)
        is_plain = all(one.kind == "norm-conserving" or one.density_cutoff_ev for one in used)
        factor = DENSITY_FACTOR if is_plain else AUGMENTED_DENSITY_FACTOR
        density_cutoff_ev = chosen.density_cutoff_ev or max(
            factor * cutoff_ev, *(one.density_cutoff_ev or 0.0 for one in used)
        )
        return cutoff_ev / RYDBERG_EV, density_cutoff_ev / RYDBERG_EV

    def _potentials(self, structure: Structure) -> dict[str, Pseudopotential]:
        """Return those of the elements; UnsupportedByEngine where they do not do."""
        chosen = self.chosen
        wanted = structure.elements, chosen.functional, chosen.pseudopotentials
        found = self._there().choose(*wanted)
        if chosen.dispersion and any(one.functional == "LDA" for one in found.values()):
            raise UnsupportedByEngine(
                f"{chosen.dispersion} has no parameters for LDA; choose pseudopotentials of PBE"
            )
        return found

    def _there(self) -> Pseudopotentials:
        named = next((os.environ[one] for one in FOLDERS if os.environ.get(one)), None)
        folder = Path(named).expanduser() if named else DEBIAN_FOLDER
        return Pseudopotentials.of(folder / self.chosen.family)

    def _started_command(self) -> tuple[str, ...]:
        """Return the command with the job's launcher before it."""
        command = _command()
        if self._launcher and Path(command[0]).name.partition(".")[0] in LAUNCHERS:
            raise EngineUnavailable(
                f"The job asks for ranks, and {COMMAND} says already how pw.x is started. Let it"
                " name pw.x alone, or submit the job without ranks."
            )
        return (*self._launcher, *command)

    @contextmanager
    def _place(self) -> Iterator[Path]:
        if self._folder is not None:
            yield self._folder
            return
        with tempfile.TemporaryDirectory(prefix="nano-os-pw-") as folder:
            yield Path(folder)
            self.files = []


def _command() -> tuple[str, ...]:
    return tuple(shlex.split(os.environ.get(COMMAND, ""))) or ("pw.x",)


def _program() -> str:
    """Return the word of the command that is pw.x: the last that is a program."""
    command = _command()
    return next(filter(shutil.which, reversed(command)), command[-1])


@lru_cache(maxsize=8)
def _version(program: str) -> str | None:
    """Return the version that ``program`` prints before it misses its input."""
    try:
        with tempfile.TemporaryDirectory(prefix="nano-os-pw-") as folder:
            said = subprocess.run(
                [program],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            ).stdout
    except OSError:
        return None
    return said.partition(BANNER)[2].split(maxsplit=1)[0] if BANNER in said else None
