"""Quantum ESPRESSO: output of pw.x, read line by line.

Every geometry is a structure: the first, and one for each step of a relaxation or of dynamics. A
geometry that is printed again, as the last of a relaxation is, is the same one. The first is
printed with six to seven digits only; the input of the run has more.

Energies and forces are those printed after a geometry, before the next.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from scipy.constants import physical_constants

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
from nanoos.parsers.espresso_cell import BOHR_A
from nanoos.parsers.parser import Parsed, Rejected
from nanoos.parsers.plain import plain
from nanoos.parsers.source import Source
from nanoos.structures import Structure
from nanoos.structures.structure import MAX_SITES, Array

RYDBERG_EV = float(physical_constants["Rydberg constant times hc in eV"][0])  # CODATA, by scipy

_PROGRAM = "Program PWSCF"
_VECTOR = r"\(\s*(\S+)\s+(\S+)\s+(\S+)\s*\)"
_AXIS = re.compile(rf"\s*a\(\d\)\s*=\s*{_VECTOR}\s*")
_SITE = re.compile(rf"\s*\S+\s+(\S+?)\s*tau\([^)]*\)\s*=\s*{_VECTOR}\s*")
_FORCE = re.compile(r"\s*atom\s+\S+\s+type\s+\S+\s+force\s*=\s*(\S+)\s+(\S+)\s+(\S+)\s*")
_COUNT = re.compile(r"\s*number of atoms/cell\s*=\s*(\d+)")
_ALAT = re.compile(r"\s*celldm\(1\)=\s*(\S+)")
_ENERGY = re.compile(r"!\s*total energy\s*=\s*(\S+)\s*Ry")
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
        output = _Output(enumerate(source.lines(), 1))
        failure = None
        try:
            yield from output.finished_steps()
        except ParseError as error:
            failure = error
        if output.step is not None:
            yield output.step.parsed()
        if failure is not None:
            raise failure
        if output.step is None:
            raise ParseError("The output of pw.x ends before its atoms are listed.")


@dataclass
class _Step:
    """A geometry, and what was found for it."""

    number: int
    line: int
    elements: list[str]
    positions_a: Array
    cell_a: Array
    lines: list[str]
    energy_ev: float | None = None
    forces_ev_per_a: Array | None = None

    def is_again(self, other: _Step | None) -> bool:
        """Tell whether this is the other, printed again."""
        return (
            other is not None
            and np.array_equal(self.positions_a, other.positions_a)
            and np.array_equal(self.cell_a, other.cell_a)
        )

    def parsed(self) -> Parsed | Rejected:
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


@dataclass
class _Output:
    """The lines of an output, and what they have said so far of the run and of its last step."""

    lines: Iterator[Line]
    step: _Step | None = None
    n_atoms: int = 0
    n_steps: int = 0
    alat_a: float = 0.0
    cell_a: Array | None = None
    cell_lines: list[str] = field(default_factory=list)
    elements: list[str] = field(default_factory=list)

    def finished_steps(self) -> Iterator[Parsed | Rejected]:
        """Yield every step but the last, which stays in ``step``."""
        for line, text in self.lines:
            new = self._new_step(line, text)
            if new is not None and not new.is_again(self.step):
                if self.step is not None:
                    yield self.step.parsed()
                self.step = new
                self.n_steps += 1
            elif new is None:
                self._take(line, text)

    def _new_step(self, line: int, text: str) -> _Step | None:
        """Return the geometry that begins on this line, if one does."""
        if "positions (alat units)" in text and not self.elements:
            rows = self._after(line, self.n_atoms)
            found = [_matched(_SITE, *row) for row in rows]
            self.elements = [element_of(words[0], line) for words in found]
            positions = np.array([_numbers(words[1:], line) for words in found]) * self.alat_a
        elif text.startswith("ATOMIC_POSITIONS"):
            rows = self._after(line, self.n_atoms)
            self.elements, table = atom_rows(rows, self.n_atoms, line)
            cell, unit = self._cell(line), unit_of(text, "alat")
            positions = positions_a(table, unit, cell, self.alat_a, line)
        else:
            return None
        printed = [*self.cell_lines, text, *(row for _, row in rows)]
        return _Step(self.n_steps, line, self.elements, positions, self._cell(line), printed)

    def _take(self, line: int, text: str) -> None:
        """Take over what a line says, of the run or of its last step."""
        if _PROGRAM in text:
            self.n_atoms, self.n_steps, self.cell_a, self.elements = 0, 0, None, []
        elif found := _COUNT.match(text):
            self.n_atoms = int(found[1])
        elif found := _ALAT.match(text):
            self.alat_a = number(found[1], line) * BOHR_A
        elif "crystal axes:" in text and self.cell_a is None:
            self._take_axes(line, text)
        elif text.startswith("CELL_PARAMETERS"):
            self._take_cell(line, text)
        elif self.step is not None and (found := _ENERGY.match(text)):
            self.step.energy_ev = number(found[1], line) * RYDBERG_EV
        elif self.step is not None and "Forces acting on atoms" in text:
            self._take_forces(line)

    def _take_axes(self, line: int, text: str) -> None:
        rows = self._after(line, 3)
        vectors = [_numbers(_matched(_AXIS, *row), row[0]) for row in rows]
        self.cell_a = np.array(vectors) * self.alat_a
        self.cell_lines = [text, *(row for _, row in rows)]

    def _take_cell(self, line: int, text: str) -> None:
        rows = self._after(line, 3)
        scale = scale_a(unit_of(text, "alat"), stated_alat_a(text) or self.alat_a, line)
        self.cell_a = cell_rows(rows, line) * scale
        self.cell_lines = [text, *(row for _, row in rows)]

    def _take_forces(self, line: int) -> None:
        """Take the total forces; those of single terms, which follow, are passed over."""
        for _ in range(_LINES_TO_FORCES):
            rows = self._after(line, 1)
            if _FORCE.match(rows[0][1]):
                break
        if self.n_atoms > 1:
            rows += self._after(line, self.n_atoms - 1)
        forces = np.array([_numbers(_matched(_FORCE, *row), row[0]) for row in rows])
        assert self.step is not None  # noqa: S101 - looked at by the caller
        self.step.forces_ev_per_a = forces * (RYDBERG_EV / BOHR_A)

    def _cell(self, line: int) -> Array:
        if self.cell_a is None:
            raise ParseError("The output of pw.x lists atoms before a cell.", line=line)
        return self.cell_a

    def _after(self, line: int, count: int) -> list[Line]:
        """Return the next lines. Raises ParseError when there are fewer, or no atoms so far."""
        if not 0 < count <= MAX_SITES:
            raise ParseError("The output of pw.x does not say how many atoms it has.", line=line)
        rows = list(islice(self.lines, count))
        if len(rows) < count:
            raise ParseError("The output of pw.x is cut short.", line=line)
        return rows


def _matched(pattern: re.Pattern[str], line: int, text: str) -> tuple[str, ...]:
    found = pattern.match(text)
    if found is None:
        raise ParseError("The line is not what pw.x prints there.", line=line)
    return found.groups()


def _numbers(words: tuple[str, ...], line: int) -> list[float]:
    return [number(word, line) for word in words]
