"""Quantum ESPRESSO: output of pw.x, read line by line.

Every geometry is a structure: the first, and one for each step of a relaxation or of dynamics. A
geometry that is printed again, as the last of a relaxation is, is the same one. The first is
printed with six to seven digits only; the input of the run has more.

Energies and forces are those printed after a geometry, before the next.

`nanoos.runs.espresso_text` reads the rest of an output with the same `Output`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, ClassVar

import numpy as np

from nanoos.errors import ParseError, StructureError
from nanoos.parsers.espresso_cards import (
    Line,
    atom_rows,
    cell_rows,
    element_of,
    number,
    positions_a,
    scale_a,
    stated_alat_a,
    unit_of,
)
from nanoos.parsers.espresso_cell import BOHR_A, RYDBERG_EV
from nanoos.parsers.parser import Parsed, Rejected
from nanoos.parsers.plain import plain
from nanoos.parsers.source import Source
from nanoos.structures import Structure
from nanoos.structures.structure import MAX_SITES, Array

_PROGRAM = "Program PWSCF"
_VECTOR = r"\(\s*(\S+)\s+(\S+)\s+(\S+)\s*\)"
_AXIS = re.compile(rf"\s*a\(\d\)\s*=\s*{_VECTOR}\s*")
_SITE = re.compile(rf"\s*\S+\s+(\S+?)\s*tau\([^)]*\)\s*=\s*{_VECTOR}\s*")
_FORCE = re.compile(r"\s*atom\s+\S+\s+type\s+\S+\s+force\s*=\s*(\S+)\s+(\S+)\s+(\S+)\s*")
_LINES_TO_FORCES = 3  # a blank one, sometimes a heading, then the first


class EspressoOutput:
    """The parser of pw.x's output."""

    name = "espresso_out"

    def recognises(self, head: bytes, filename: str) -> bool:
        """The program's greeting, or a name ending in .pwo or .pw.out."""
        named = filename.lower().endswith((".pwo", ".pw.out"))
        return named or _PROGRAM.encode() in head

    def parse(self, source: Source) -> Iterator[Parsed | Rejected]:
        """Yield every geometry; ``extra`` holds its step, counted from 0, energy and forces."""
        output = Output(enumerate(source.lines(), 1))
        failure = None
        try:
            for step in output.finished_steps():
                yield step.parsed()
        except ParseError as error:
            failure = error
        if output.step is not None:
            yield output.step.parsed()
        if failure is not None:
            raise failure
        if output.step is None:
            raise ParseError("The output of pw.x ends before its atoms are listed.")


@dataclass
class OutputStep:
    """A geometry, and what was found for it; beside energy and forces, for readers of runs."""

    number: int
    line: int
    elements: list[str]
    positions_a: Array
    cell_a: Array
    lines: list[str]
    energy_ev: float | None = None
    forces_ev_per_a: Array | None = None
    internal_energy_ev: float | None = None
    entropy_term_ev: float | None = None
    stress_gpa: Array | None = None
    moments_mu_b: list[list[float]] = field(default_factory=list)
    electronic_steps: int | None = None
    is_converged: bool | None = None

    def is_again(self, other: OutputStep | None) -> bool:
        """Tell whether this is the other, printed again."""
        return (
            other is not None
            and np.array_equal(self.positions_a, other.positions_a)
            and np.array_equal(self.cell_a, other.cell_a)
        )

    def parsed(self) -> Parsed | Rejected:
        """Return the structure, with energy and forces in ``extra``."""
        results: dict[str, Any] = {}
        if self.energy_ev is not None:
            results["energy_ev"] = plain(self.energy_ev)
        if self.forces_ev_per_a is not None:
            results["forces_ev_per_a"] = plain(self.forces_ev_per_a)
        extra: dict[str, Any] = {"step": self.number}
        if results:
            extra["calculation"] = {"calculator": "pw.x"} | results
        try:
            structure = Structure.of(self.cell_a, self.positions_a, self.elements)
        except StructureError as error:
            return Rejected(ParseError(f"Step {self.number}: {error}", line=self.line))
        return Parsed(structure, "", extra, "\n".join(self.lines) + "\n")


class Output:
    """The lines of an output, and what they have said so far of the run and of its last step.

    What a line begins with tells which method takes it over, by ``marks``.
    """

    marks: ClassVar[Mapping[str, str]] = {
        "program": _PROGRAM,
        "count": r"number of atoms/cell\s*=\s*(?=\d)",
        "alat": r"celldm\(1\)=",
        "axes": "crystal axes:",
        "cell": "CELL_PARAMETERS",
        "sites": r"site n\.\s+atom\s+positions \(alat units\)",
        "positions": "ATOMIC_POSITIONS",
        "energy": r"!{1,2}\s*total energy\s*=",
        "forces": "Forces acting on atoms",
    }
    """Name of a method ``_take_…`` → how its lines begin, after blanks."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self.lines = lines
        self.step: OutputStep | None = None
        self.n_atoms = 0
        self.n_steps = 0
        self.alat_a = 0.0
        self.cell_a: Array | None = None
        self.cell_lines: list[str] = []
        self.elements: list[str] = []
        marks = "|".join(f"(?P<{name}>{mark})" for name, mark in self.marks.items())
        self._marked = re.compile(rf"\s*+(?:{marks})").match

    def finished_steps(self) -> Iterator[OutputStep]:
        """Yield every step but the last, which stays in ``step``."""
        for line, text in self.lines:
            before = self.step
            if (found := self._marked(text)) and found.lastgroup:
                self._take(found.lastgroup, line, text)
            if before is not None and self.step is not before:
                yield before

    def _take(self, mark: str, line: int, text: str) -> None:
        """Take over a line that begins as a mark says. Raises ParseError: it is damaged."""
        getattr(self, f"_take_{mark}")(line, text)

    def _take_program(self, line: int, text: str) -> None:  # noqa: ARG002 - of all, alike
        self.n_atoms, self.n_steps, self.cell_a, self.elements = 0, 0, None, []

    def _take_count(self, line: int, text: str) -> None:
        self.n_atoms = int(number(value_of(text), line))

    def _take_alat(self, line: int, text: str) -> None:
        self.alat_a = number(value_of(text), line) * BOHR_A

    def _take_sites(self, line: int, text: str) -> None:
        """Take the geometry that an output begins with; it may be listed again in other units."""
        if self.elements:
            return
        rows = self.after(line, self.n_atoms)
        found = [_matched(_SITE, *row) for row in rows]
        self.elements = [element_of(words[0], line) for words in found]
        positions = np.array([numbers_of(words[1:], line) for words in found]) * self.alat_a
        self._begin(line, text, rows, positions)

    def _take_positions(self, line: int, text: str) -> None:
        rows = self.after(line, self.n_atoms)
        self.elements, table = atom_rows(rows, self.n_atoms, line)
        unit = unit_of(text, "alat")
        positions = positions_a(table, unit, self.cell(line), self.alat_a, line)
        self._begin(line, text, rows, positions)

    def _begin(self, line: int, text: str, rows: list[Line], positions: Array) -> None:
        """Begin a step with a geometry, unless it is that of the last one."""
        printed = [*self.cell_lines, text, *(row for _, row in rows)]
        cell = self.cell(line)
        new = OutputStep(self.n_steps, line, self.elements, positions, cell, printed)
        if not new.is_again(self.step):
            self.step = new
            self.n_steps += 1

    def _take_energy(self, line: int, text: str) -> None:
        if self.step is not None:
            self.step.energy_ev = number(value_of(text), line) * RYDBERG_EV

    def _take_axes(self, line: int, text: str) -> None:
        if self.cell_a is not None:
            return
        rows = self.after(line, 3)
        vectors = [numbers_of(_matched(_AXIS, *row), row[0]) for row in rows]
        self.cell_a = np.array(vectors) * self.alat_a
        self.cell_lines = [text, *(row for _, row in rows)]

    def _take_cell(self, line: int, text: str) -> None:
        rows = self.after(line, 3)
        scale = scale_a(unit_of(text, "alat"), stated_alat_a(text) or self.alat_a, line)
        self.cell_a = cell_rows(rows, line) * scale
        self.cell_lines = [text, *(row for _, row in rows)]

    def _take_forces(self, line: int, text: str) -> None:  # noqa: ARG002
        """Take the total forces; those of single terms, which follow, are passed over."""
        if self.step is None:
            return
        for _ in range(_LINES_TO_FORCES):
            rows = self.after(line, 1)
            if _FORCE.match(rows[0][1]):
                break
        if self.n_atoms > 1:
            rows += self.after(line, self.n_atoms - 1)
        forces = np.array([numbers_of(_matched(_FORCE, *row), row[0]) for row in rows])
        self.step.forces_ev_per_a = forces * (RYDBERG_EV / BOHR_A)

    def cell(self, line: int) -> Array:
        """Return the cell as it is now. Raises ParseError when none has been printed."""
        if self.cell_a is None:
            raise ParseError("The output of pw.x lists atoms before a cell.", line=line)
        return self.cell_a

    def after(self, line: int, count: int) -> list[Line]:
        """Return the next lines. Raises ParseError when there are fewer, or no atoms so far."""
        if not 0 < count <= MAX_SITES:
            raise ParseError("The output of pw.x does not say how many atoms it has.", line=line)
        rows = list(islice(self.lines, count))
        if len(rows) < count:
            raise ParseError("The output of pw.x is cut short.", line=line)
        return rows


def value_of(text: str) -> str:
    """Return the first word after the first ``=``, or nothing."""
    return next(iter(text.partition("=")[2].split()), "")


def _matched(pattern: re.Pattern[str], line: int, text: str) -> tuple[str, ...]:
    found = pattern.match(text)
    if found is None:
        raise ParseError("The line is not what pw.x prints there.", line=line)
    return found.groups()


def numbers_of(words: Sequence[str], line: int) -> list[float]:
    """Return the values of numbers as pw.x prints them."""
    return [number(word, line) for word in words]
