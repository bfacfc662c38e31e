"""What pw.x prints of a run beside geometries, energies and forces, line by line.

Energies are in Ry; stress is printed as pressure, in Ry/bohr³, so its sign is turned.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from itertools import islice, takewhile
from typing import ClassVar

import numpy as np

from nanoos.errors import ParseError
from nanoos.parsers.espresso_cards import Line, number
from nanoos.parsers.espresso_cell import RYDBERG_EV
from nanoos.parsers.espresso_out import Output, OutputStep, numbers_of, value_of
from nanoos.runs.espresso_facts import SMEARINGS, Facts, dispersion_name
from nanoos.runs.espresso_units import RYDBERG_PER_BOHR3_GPA
from nanoos.runs.k_points import list_spacing_per_a
from nanoos.runs.run import Problem

_STARTED = re.compile(r"PWSCF v\.?\s*(\S+).*?starts on\s+(\S+) at\s+(\d+):\s*(\d+):\s*(\d+)")
_CORES = re.compile(r"running on\s+(\d{1,9}) processor")
_DURATION = re.compile(r"(\d+(?:\.\d*)?)\s*([dhms])")
_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PSEUDO = re.compile(r"for\s+(\S+)\s+read from file:?\s*(\S*)")
_SMEARING = re.compile(r"(\S+) smearing, width \(Ry\)=\s*(\S+)")
_OLD_SMEARING = re.compile(r"broad\. \(Ry\)=\s*(\S+)\s+ngauss\s*=\s*(-?\d+)")
_OLD_SMEARINGS = {-99: "fermi-dirac", -1: "cold", 0: "gaussian"}
_POINT = re.compile(r"= \(\s*(\S+)\s+(\S+)\s+([^\s)]+)\s*\), wk =\s*(\S+)")
_U = re.compile(r"U\(\s*([A-Z]\w*?)-\d(\w)\)\s*=\s*(\S+)")
_OLD_U = re.compile(r"\s+([A-Z]\S*)\s+([0-3])\s+(\S+)(?:\s+\S+){3}\s*$")
_SHELLS = "spdf"
_GEOMETRY = frozenset({"count", "alat", "axes", "cell", "sites", "positions"})
_FRAME = "%%%%"
_MAX_MESSAGE_LINES = 10


class RunOutput(Output):
    """An output, read for all that a run has."""

    marks: ClassVar = {
        **Output.marks,
        "cores": r"(?:Parallel|Serial)\b.* version",
        "functional": r"Exchange-correlation\s*=",
        "cutoff": r"kinetic-energy cutoff\s*=",
        "density_cutoff": r"charge density cutoff\s*=",
        "pseudo": r"PseudoPot\. #",
        "md5": r"MD5 check sum:",
        "force_threshold": r"force convergence thresh\.\s*=",
        "pressure_threshold": r"press convergence thresh\.\s*=",
        "points": r"number of k points=",
        "point": r"k\(\s*\d+\) = \(",
        "u": r"U\(\s*[A-Z]\w*-\d\w\)",
        "old_u": r"atomic species\s+L\s+U\s",
        "projectors": "Hubbard projectors:",
        "magnetic": "Starting magnetic structure",
        "noncollinear": "(?:Noncollinear|Non magnetic) calculation with",
        "exx": r"EXX-fraction\s*=",
        "dispersion": r"(?:DFT-D3 Dispersion|Dispersion (?:\S+ )?Correction)\s*=",
        "trial_energy": r"total energy\s*=",
        "entropy": r"smearing contrib\. \(-TS\)\s*=",
        "internal": r"internal energy E=F\+TS\s*=",
        "converged": "convergence has been achieved in",
        "unconverged": "convergence NOT achieved after",
        "levels": r"highest occupied, lowest unoccupied level \(ev\):",
        "fermi": r"the Fermi energy is",
        "stress": r"total\s+stress\s+\(Ry/bohr\*\*3\)",
        "magnetization": r"total magnetization\s*=",
        "moments": r"Magnetic moment per site|atom number\s+1 relative",
        "moment": r"atom:?\s+\d+\s.*magn[:=]|magnetization :",
        "bands": "Band Structure Calculation|End of band structure calculation",
        "relaxation": r"BFGS Geometry Optimization|Damped Dynamics Calculation",
        "dynamics": r"Entering Dynamics|Molecular Dynamics Calculation",
        "relaxed": r"bfgs converged in|Damped Dynamics: convergence achieved",
        "exhausted": "The maximum number of steps has been reached",
        "unrelaxed": r"bfgs failed|history already reset",
        "again": "(?:A f|F)inal scf calculation at the relaxed structure",
        "time_limit": "Maximum CPU time exceeded",
        "restarted": "Atomic positions from file used",
        "error": _FRAME,
        "killed": "forrtl:|Program received signal|mpirun noticed that|slurmstepd: error:",
        "wall": r"PWSCF\s*:.*WALL",
        "done": "JOB DONE",
    }

    def __init__(self, lines: Iterator[Line]) -> None:
        super().__init__(lines)
        self.facts = Facts(
            is_spin_polarised=False, is_noncollinear=False, has_spin_orbit=False, smearing="fixed"
        )
        self.calculated: OutputStep | None = None
        self.is_moved = False
        self._trial_energy_ev: float | None = None
        self._label = ""
        self._n_points = 0
        self._points: list[list[float]] = []
        self._is_done = False

    def note(self, problem: Problem, message: str) -> None:
        """Keep a problem, and what is said of it unless something was before."""
        if problem not in self.facts.problems:
            self.facts.problems += (problem,)
        self.facts.message = self.facts.message or message

    def conclude(self) -> None:
        """Say how the run ended, when all lines are read."""
        facts = self.facts
        if facts.end is None:
            facts.end = "finished" if self._is_done else "unfinished"
        if facts.end == "unfinished":
            facts.message = facts.message or "The output ends before pw.x says that it is done."
        if self.calculated is not None:
            facts.is_electronically_converged = self.calculated.is_converged
            if self.calculated.is_converged is False:
                self.note("electronic_steps_exhausted", "The electrons did not converge.")
        if facts.task == "relax" and facts.is_ionically_converged is None:
            facts.is_ionically_converged = False

    def _take(self, mark: str, line: int, text: str) -> None:
        """Take over a line, unless it is damaged; results of a damaged geometry belong to none."""
        try:
            super()._take(mark, line, text)
        except ParseError as error:
            if mark in _GEOMETRY:
                self.step = None
                self.note("truncated", f"Line {line}: {error}")

    # What is said of the run

    def _take_program(self, line: int, text: str) -> None:
        super()._take_program(line, text)
        if found := _STARTED.search(text):
            version, day, *clock = found.groups()
            self.facts.version = version
            with suppress(ValueError):
                self.facts.started_at = datetime.strptime(
                    f"{day} {':'.join(clock)}", "%d%b%Y %H:%M:%S"
                )

    def _take_cores(self, line: int, text: str) -> None:  # noqa: ARG002
        found = _CORES.search(text)
        self.facts.n_cores = int(found[1]) if found else 1

    def _take_functional(self, line: int, text: str) -> None:  # noqa: ARG002
        words = text.partition("=")[2].partition("(")[0].split()
        self.facts.functional = " ".join(words).upper() or None

    def _take_cutoff(self, line: int, text: str) -> None:
        self.facts.cutoff_ev = number(value_of(text), line) * RYDBERG_EV

    def _take_density_cutoff(self, line: int, text: str) -> None:
        self.facts.density_cutoff_ev = number(value_of(text), line) * RYDBERG_EV

    def _take_pseudo(self, line: int, text: str) -> None:  # noqa: ARG002
        if found := _PSEUDO.search(text):
            self._label = found[1]
            name = found[2] or next(self.lines, (0, ""))[1].strip()
            self.facts.pseudopotentials[self._label] = name

    def _take_md5(self, line: int, text: str) -> None:  # noqa: ARG002
        self.facts.md5[self._label] = text.partition(":")[2].strip()

    def _take_force_threshold(self, line: int, text: str) -> None:
        """Take what was asked for: it is printed for dynamics too, as zero."""
        is_dynamics = number(value_of(text), line) == 0
        self.facts.calculation = "md" if is_dynamics else "relax"

    def _take_pressure_threshold(self, line: int, text: str) -> None:  # noqa: ARG002
        self.facts.calculation = "vc-relax"

    def _take_points(self, line: int, text: str) -> None:
        if self._n_points:
            return
        self._n_points = int(number(value_of(text), line))
        if found := _SMEARING.search(text):
            self._take_smearing(SMEARINGS.get(found[1].casefold(), found[1]), found[2], line)
        elif found := _OLD_SMEARING.search(text):
            order = int(found[2])
            kind = _OLD_SMEARINGS.get(order, f"methfessel-paxton {order}")
            self._take_smearing(kind, found[1], line)
        elif "tetrahedron" in text:
            self.facts.smearing = "tetrahedron"

    def _take_smearing(self, kind: str, width: str, line: int) -> None:
        self.facts.smearing = kind
        self.facts.smearing_width_ev = number(width, line) * RYDBERG_EV

    def _take_point(self, line: int, text: str) -> None:
        """Take a k-point, in units of 2π/alat; the list may follow in crystal coordinates."""
        if len(self._points) == self._n_points or not self.alat_a:
            return
        if found := _POINT.search(text):
            self._points.append(numbers_of(found.groups(), line))
        if len(self._points) == self._n_points:
            table = np.array(self._points)
            points = table[:, :3] * (2 * np.pi / self.alat_a)
            self.facts.k_spacing_per_a = list_spacing_per_a(self.cell(line), points, table[:, 3])

    def _take_u(self, line: int, text: str) -> None:
        if found := _U.search(text):
            self.facts.add_u(found[1], found[2], number(found[3], line))

    def _take_old_u(self, line: int, text: str) -> None:  # noqa: ARG002
        for place, row in self.lines:
            if not (found := _OLD_U.match(row)):
                break
            self.facts.add_u(found[1], _SHELLS[int(found[2])], number(found[3], place))

    def _take_projectors(self, line: int, text: str) -> None:  # noqa: ARG002
        if (projection := text.rpartition(":")[2].strip()) != "atomic":
            self.facts.further["U_projection_type"] = projection

    def _take_magnetic(self, line: int, text: str) -> None:  # noqa: ARG002
        self.facts.is_spin_polarised = not self.facts.is_noncollinear

    def _take_noncollinear(self, line: int, text: str) -> None:  # noqa: ARG002
        self.facts.is_noncollinear, self.facts.is_spin_polarised = True, False
        self.facts.has_spin_orbit = "with spin-orbit" in text

    def _take_exx(self, line: int, text: str) -> None:
        self.facts.further["exx_fraction"] = number(value_of(text), line)

    def _take_dispersion(self, line: int, text: str) -> None:  # noqa: ARG002
        kinds = {"DFT-D3": "grimme-d3", "XDM": "xdm", "T-S": "ts-vdw", "MBD": "mbd_vdw"}
        named = (kinds[word] for word in text.split() if word in kinds)
        self.facts.dispersion = dispersion_name(next(named, "grimme-d2"))

    def _take_levels(self, line: int, text: str) -> None:
        words = text.rpartition(":")[2].split()
        if len(words) == 2:
            below, above = numbers_of(words, line)
            self.facts.band_gap_ev = max(0.0, above - below)

    def _take_fermi(self, line: int, text: str) -> None:
        self.facts.fermi_energy_ev = number(_word_after("is", text), line)

    def _take_magnetization(self, line: int, text: str) -> None:
        words = text.partition("=")[2].partition("Bohr")[0].split()
        vector = numbers_of(words, line)  # of one number, or of three
        is_scalar = len(vector) == 1
        self.facts.total_magnetization_mu_b = (
            vector[0] if is_scalar else float(np.linalg.norm(vector))
        )

    def _take_wall(self, line: int, text: str) -> None:  # noqa: ARG002
        parts = _DURATION.findall(text.partition("CPU")[2])
        self.facts.wall_time_s = sum(float(value) * _SECONDS[unit] for value, unit in parts)

    # What is said of a step

    def _take_trial_energy(self, line: int, text: str) -> None:
        self._trial_energy_ev = number(value_of(text), line) * RYDBERG_EV

    def _take_entropy(self, line: int, text: str) -> None:
        if self.step is not None:
            self.step.entropy_term_ev = number(value_of(text), line) * RYDBERG_EV

    def _take_internal(self, line: int, text: str) -> None:
        if self.step is not None:
            text = text.replace("E=F+TS", "")
            self.step.internal_energy_ev = number(value_of(text), line) * RYDBERG_EV

    def _take_converged(self, line: int, text: str) -> None:
        if self.step is not None:
            self.step.is_converged = True
            self.step.electronic_steps = int(number(_word_after("in", text), line))

    def _take_unconverged(self, line: int, text: str) -> None:
        """Take the energy of the last iteration: no other is printed."""
        if self.step is not None:
            self.step.is_converged = False
            self.step.electronic_steps = int(number(_word_after("after", text), line))
            if self.step.energy_ev is None:
                self.step.energy_ev = self._trial_energy_ev
            self.facts.message = self.facts.message or text.strip()

    def _take_stress(self, line: int, text: str) -> None:  # noqa: ARG002
        rows = self.after(line, 3)
        if self.step is not None:
            table = [numbers_of([*row.split(), "", "", ""][:3], place) for place, row in rows]
            self.step.stress_gpa = np.array(table) * -RYDBERG_PER_BOHR3_GPA

    def _take_moments(self, line: int, text: str) -> None:  # noqa: ARG002
        if self.step is not None:
            self.step.moments_mu_b = []

    def _take_moment(self, line: int, text: str) -> None:
        if self.step is not None:
            words = re.split(r"magn(?:etization )?[:=]", text)[1].split()
            n = 3 if "magnetization :" in text else 1
            self.step.moments_mu_b.append(numbers_of((words + [""] * n)[:n], line))

    def _take_restarted(self, line: int, text: str) -> None:  # noqa: ARG002
        """Note that the geometry printed is the input's, and the one calculated another."""
        self.is_moved = self.step is not None and self.facts.task != "single_point"

    def _take_again(self, line: int, text: str) -> None:  # noqa: ARG002
        """Begin a step with the geometry of the last one: the basis is another."""
        step = self.step
        if step is not None:
            given = (step.elements, step.positions_a, step.cell_a, step.lines)
            self.step = OutputStep(self.n_steps, line, *given)
            self.n_steps += 1

    # How it ended

    def _take_bands(self, line: int, text: str) -> None:  # noqa: ARG002
        self.facts.calculation = "nscf"

    def _take_relaxation(self, line: int, text: str) -> None:  # noqa: ARG002
        if self.facts.task != "relax":
            self.facts.calculation = "relax"

    def _take_dynamics(self, line: int, text: str) -> None:  # noqa: ARG002
        if self.facts.calculation not in {"relax", "vc-relax"}:
            self.facts.calculation = "md"

    def _take_relaxed(self, line: int, text: str) -> None:  # noqa: ARG002
        self.facts.is_ionically_converged = True

    def _take_exhausted(self, line: int, text: str) -> None:  # noqa: ARG002
        if self.facts.task == "relax":
            self.note("ionic_steps_exhausted", text.strip())

    def _take_unrelaxed(self, line: int, text: str) -> None:  # noqa: ARG002
        self.facts.message = self.facts.message or text.strip()

    def _take_time_limit(self, line: int, text: str) -> None:  # noqa: ARG002
        self.facts.end = "time_limit"
        self.facts.message = self.facts.message or text.strip()

    def _take_error(self, line: int, text: str) -> None:  # noqa: ARG002
        """Take what pw.x says in a frame of per cent signs, and crash."""
        rows = takewhile(lambda row: _FRAME not in row[1], islice(self.lines, _MAX_MESSAGE_LINES))
        said = " ".join(row.strip() for _, row in rows if row.strip())
        self.facts.end = "crashed"
        self.note("error", said)

    def _take_killed(self, line: int, text: str) -> None:  # noqa: ARG002
        self.facts.end = "time_limit" if "TIME LIMIT" in text else (self.facts.end or "crashed")
        self.facts.message = self.facts.message or text.strip()

    def _take_done(self, line: int, text: str) -> None:  # noqa: ARG002
        self._is_done = True


def _word_after(word: str, text: str) -> str:
    """Return what follows the first of a word, or nothing."""
    return next(iter(text.partition(f"{word} ")[2].split()), "")
