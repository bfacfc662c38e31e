"""The text of CP2K's runs, line by line: geometry, what each evaluation found, and how it ended."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from ase.units import Bohr, Hartree

from nanoos.structures.structure import Array

SIGN = re.compile(rb"^ CP2K\| version string:", re.MULTILINE)
"""What such a file has near its beginning."""

_ENERGY = re.compile(r"^ ENERGY\| Total FORCE_EVAL \( .* \) energy \[\S+\]:? +(\S+)")
_VECTOR = re.compile(
    r"^ CELL\| Vector ([abc]) \[angstrom\]: +(\S+) +(\S+) +(\S+) +\|[abc]\| = +(\S+)"
)
_PERIODICITY = re.compile(r"^ CELL\| Periodicity +(\w+)")
_ATOM = re.compile(r"^ +\d+ +\d+ +([A-Z][a-z]?) +\d+((?: +[-\d.Ee+]+){3})")
_FORCE = re.compile(r"^(?: FORCES\|)? +\d+(?: +\d+ +[A-Z]\w*)?((?: +[-+\d.Ee]+){3})")
_STRESS = re.compile(r"^ STRESS\| +[xyz]((?: +[-+\d.E]+){3})$")
_SCF = re.compile(r"SCF run (NOT )?converged(?: in +(\d+) steps)?")
_KIND = re.compile(r"^ +\d+\. Atomic kind: (\S+)")
_BASIS = re.compile(r"^ +Orbital Basis Set +(\S+)$")
_POTENTIAL = re.compile(r"^ +(?:GTH|All-electron|AE) Potential information for +(\S+)")
_FACT = re.compile(r"^ (CP2K|GLOBAL|DFT|DFT\+U|QS|BRILLOUIN|XC|HFX_INFO)\| *(.+?):? {2,}(\S.*)$")
_SMEAR = re.compile(r"^ +(Smear method|Electronic temperature \[a\.u\.\]): +(\S+)$")
_SHELL = re.compile(r"^ +.*[Aa]ngular.*momentum.*: +(\d)$")
_U = re.compile(r"^ +U\(eff\) = \(U - J\) value in \[eV\]: +(\S+)$")
_FUNCTIONAL = re.compile(r"^ FUNCTIONAL\| (\w[\w() -]*):$")
_STARTED = re.compile(r"PROGRAM STARTED AT +(\S+ \S+)")
_HOST = re.compile(r"PROGRAM STARTED ON +(\S+)")
_TIME = re.compile(r"^ CP2K +\d+ +[\d.]+ +\S+ +\S+ +\S+ +([\d.]+)$")
_ENDS = (
    *("PROGRAM ENDED AT", "[ABORT]", "exceeded requested execution time"),
    *("OPTIMIZATION COMPLETED", "MAXIMUM NUMBER OF OPTIMIZATION STEPS", "DFT-D3"),
)


@dataclass
class Evaluation:
    """What was calculated for one geometry, in eV and Å; stress in GPa, positive under tension."""

    energy_ev: float
    lattice_a: Array | None
    forces_ev_per_a: Array | None = None
    stress_gpa: Array | None = None
    electronic_steps: int | None = None
    is_converged: bool | None = None


@dataclass
class Output:
    """All that a text says."""

    symbols: list[str] = field(default_factory=list)
    positions_a: list[list[float]] = field(default_factory=list)
    is_periodic: bool = True
    evaluations: list[Evaluation] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    functionals: list[str] = field(default_factory=list)
    potentials: dict[str, list[str]] = field(default_factory=dict)
    hubbard_ev: dict[str, dict[str, float]] = field(default_factory=dict)
    """Atomic kind → letter of the shell → effective U."""
    started: str | None = None
    host: str | None = None
    wall_time_s: float | None = None
    said: list[str] = field(default_factory=list)
    """Lines that tell how it ended, and of dispersion."""

    @classmethod
    def of(cls, lines: Iterable[str]) -> Output:
        """Read a text."""
        output = cls()
        reading = _Reading(output)
        rest = iter(lines)
        for line in rest:
            reading.take(line, rest)
        return output


class _Reading:
    """A text while it is read."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._vectors: dict[str, list[float]] = {}
        self._kind = ""
        self._shell = ""
        self._scf: tuple[int | None, bool | None] = (None, None)

    def take(self, line: str, rest: Iterator[str]) -> None:
        """Take a line, and those of the table that it begins."""
        output = self._output
        if match := _ENERGY.match(line):
            if (energy := _numbers(match[1])) is not None:
                steps, converged = self._scf
                output.evaluations.append(
                    Evaluation(energy[0] * Hartree, self._lattice(), None, None, steps, converged)
                )
        elif match := _VECTOR.match(line):
            self._take_vector(match)
        elif match := _PERIODICITY.match(line):
            output.is_periodic = match[1] != "NONE"
        elif "ATOMIC COORDINATES IN" in line and not output.symbols:
            self._take_atoms(rest, Bohr if "BOHR" in line.upper() else 1.0)
        elif "ATOMIC FORCES in [a.u.]" in line or "FORCES| Atomic forces" in line:
            self._take_forces(rest)
        elif line.startswith(" STRESS| Analytical stress tensor [GPa]"):
            self._take_stress(rest)
        elif match := _SCF.search(line):
            self._scf = (int(match[2]) if match[2] else None, not match[1])
        else:
            self._take_fact(line)

    def _take_fact(self, line: str) -> None:
        output = self._output
        if match := _FUNCTIONAL.match(line):
            output.functionals.append(match[1])
        elif match := _FACT.match(line):
            output.facts.setdefault(f"{match[1]} {match[2]}", match[3])
        elif match := _SMEAR.match(line):
            output.facts.setdefault(match[1], match[2])
        elif match := _STARTED.search(line):
            output.started = match[1]
        elif match := _HOST.search(line):
            output.host = match[1]
        elif match := _TIME.match(line):
            output.wall_time_s = float(match[1])
        elif any(said in line for said in _ENDS):
            output.said.append(line.strip(" *"))
        else:
            self._take_kind(line)

    def _take_kind(self, line: str) -> None:
        """Take what is said of an atomic kind: its basis set, potential and U."""
        output = self._output
        if match := _KIND.match(line):
            self._kind, self._shell = match[1], ""
        elif match := _BASIS.match(line) or _POTENTIAL.match(line):
            titles = output.potentials.setdefault(self._kind, [])
            if match[1] not in titles:
                titles.append(match[1])
        elif match := _SHELL.match(line):
            self._shell = "spdfgh"[int(match[1]) % 6]
        elif (match := _U.match(line)) and (u := _numbers(match[1])):
            output.hubbard_ev.setdefault(self._kind, {})[self._shell] = u[0]

    def _take_vector(self, match: re.Match[str]) -> None:
        vector, length = _numbers(*match.groups()[1:4]), _numbers(match[5])
        if vector is not None and length is not None and (norm := float(np.linalg.norm(vector))):
            # three decimals of the vector, six of its length
            self._vectors[match[1]] = [x * length[0] / norm for x in vector]

    def _lattice(self) -> Array | None:
        if not self._output.is_periodic or len(self._vectors) < 3:
            return None
        return np.array([self._vectors[name] for name in "abc"])

    def _take_atoms(self, rest: Iterator[str], unit_a: float) -> None:
        for line in rest:
            if match := _ATOM.match(line):
                if (position := _numbers(*match[2].split())) is None:
                    return
                self._output.symbols.append(match[1])
                self._output.positions_a.append([x * unit_a for x in position])
            elif self._output.symbols:
                return

    def _take_forces(self, rest: Iterator[str]) -> None:
        output = self._output
        forces = []
        for line in rest:
            if match := _FORCE.match(line):
                if (force := _numbers(*match[1].split())) is None:
                    return
                forces.append(force)
            if len(forces) == len(output.symbols) or "SUM OF" in line:
                break
        if output.evaluations and len(forces) == len(output.symbols):
            output.evaluations[-1].forces_ev_per_a = np.array(forces) * Hartree / Bohr

    def _take_stress(self, rest: Iterator[str]) -> None:
        rows: list[list[float]] = []
        for line in islice(rest, 5):
            if (match := _STRESS.match(line)) and (row := _numbers(*match[1].split())):
                rows.append(row)
            if len(rows) == 3:
                break
        if self._output.evaluations and len(rows) == 3:
            self._output.evaluations[-1].stress_gpa = -np.array(rows)  # CP2K's is of pressure


def _numbers(*words: str) -> list[float] | None:
    """Return the numbers; None where one is none, such as the stars of Fortran."""
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() else None
