"""POSCAR and CONTCAR, VASP's structure files, with or without a line of element symbols.

Format: VASP manual, "POSCAR". Velocities and what follows them are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from nanoos.errors import ParseError
from nanoos.parsers.parser import Parsed
from nanoos.parsers.source import Source
from nanoos.structures import Structure
from nanoos.structures.structure import ELEMENTS, MAX_SITES, Array

_NUMBER = r"[-+]?(\d+\.?\d*|\.\d+)([eEdD][-+]?\d+)?"
_SCALE = re.compile(rf"\s*{_NUMBER}(\s+{_NUMBER}\s+{_NUMBER})?\s*([!#].*)?")
_VECTOR = re.compile(rf"\s*{_NUMBER}\s+{_NUMBER}\s+{_NUMBER}(\s.*)?")
_FILE_NAME = re.compile(r"(.*\.(poscar|vasp)|(poscar|contcar).*)", re.IGNORECASE)


class Poscar:
    """The parser of POSCAR files."""

    name = "poscar"

    def recognises(self, head: bytes, filename: str) -> bool:
        """A scale on line 2 and three vectors after it, or a POSCAR's usual name."""
        lines = head.decode(errors="replace").splitlines()
        has_cell = (
            len(lines) > 5
            and _SCALE.fullmatch(lines[1]) is not None
            and all(_VECTOR.fullmatch(line) for line in lines[2:5])
        )
        return has_cell or _FILE_NAME.fullmatch(filename) is not None

    def parse(self, source: Source) -> Iterator[Parsed]:
        """Yield the one structure of the file; its name is the comment up to a semicolon."""
        lines = _Lines(source.text)
        comment = lines.take("the comment").strip()
        lattice, scales = _lattice(lines)
        symbols = _symbols(lines, comment)
        mode = lines.take("the coordinate mode")
        if mode.strip()[:1].lower() == "s":  # selective dynamics
            mode = lines.take("the coordinate mode")
        positions = np.array(
            [lines.vector(f"the position of atom {k + 1}") for k in range(len(symbols))]
        )
        cartesian = mode.strip()[:1].lower() in ("c", "k")
        structure = Structure.of(
            lattice, positions * scales if cartesian else positions @ lattice, symbols
        )
        name = comment.split(";")[0].strip()
        yield Parsed(structure, name, {"comment": comment}, source.text)


class _Lines:
    """The file's lines, taken one by one, so that an error knows where it is."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self.number = 0

    def take(self, what: str) -> str:
        if self.number == len(self._lines):
            raise ParseError(f"The POSCAR ends before {what}: it is cut short.", line=self.number)
        self.number += 1
        return self._lines[self.number - 1]

    @property
    def left(self) -> int:
        return len(self._lines) - self.number

    def peek(self) -> str:
        return self._lines[self.number] if self.number < len(self._lines) else ""

    def vector(self, what: str) -> Array:
        line = self.take(what)
        if _VECTOR.fullmatch(line) is None:
            raise ParseError(f"Expected three numbers for {what}.", line=self.number)
        vector = np.array([_float(word) for word in line.split()[:3]])
        if not np.isfinite(vector).all():
            raise ParseError(f"A number of {what} is too large.", line=self.number)
        return vector


def _lattice(lines: _Lines) -> tuple[Array, Array]:
    """Return the lattice in Å and the scale of Cartesian positions: one number, or three.

    One negative scale is the volume of the cell in Å3; three scales are for x, y and z.
    """
    line = lines.take("the scale")
    if _SCALE.fullmatch(line) is None:
        raise ParseError("Expected the scale: one number, or three.", line=lines.number)
    words = re.split(r"[!#]", line)[0].split()
    scales = np.array([_float(word) for word in words])
    least = scales.min()
    if not np.isfinite(scales).all() or least == 0 or (len(scales) == 3 and least < 0):
        raise ParseError("The scale must be finite and not zero; of three none negative.", line=2)
    vectors = np.array([lines.vector(f"lattice vector {k}") for k in (1, 2, 3)])
    if least < 0:
        volume = abs(np.linalg.det(vectors))
        if volume == 0:
            raise ParseError("The lattice vectors are linearly dependent.", line=3)
        scales = np.cbrt(-scales / volume)
    return vectors * scales, scales


def _symbols(lines: _Lines, comment: str) -> list[str]:
    """Return one element per atom; VASP 4 files have the symbols in the comment only."""
    named_on, names = 1, comment
    if not lines.peek().split()[:1] or not lines.peek().split()[0].isdecimal():
        names = lines.take("the element symbols")
        named_on = lines.number
    counts = _counts(lines)
    # VASP also writes Fe_pv, or Fe/a1b2 with a hash of the potential.
    elements = [re.split(r"[_/]", word)[0] for word in names.split()][: len(counts)]
    if len(elements) < len(counts) or not set(elements) <= ELEMENTS:
        raise ParseError(
            f"Expected {len(counts)} element symbols, one for each number of atoms, but found "
            f"{names.strip()!r}.",
            line=named_on,
        )
    return [e for e, n in zip(elements, counts, strict=True) for _ in range(n)]


def _counts(lines: _Lines) -> list[int]:
    words = re.split(r"[!#]", lines.take("the numbers of atoms"))[0].split()
    counts = [int(word[:18]) for word in words if word.isdecimal()]
    if len(counts) < len(words) or sum(counts) == 0:
        raise ParseError("Expected the number of atoms of each element.", line=lines.number)
    if sum(counts) > lines.left:
        raise ParseError(
            f"The POSCAR should have {sum(counts)} atoms but is cut short.", line=lines.number
        )
    if sum(counts) > MAX_SITES:
        raise ParseError(
            f"The POSCAR has {sum(counts)} atoms; at most {MAX_SITES} are read.", line=lines.number
        )
    return counts


def _float(word: str) -> float:
    return float(word.replace("d", "e").replace("D", "e"))
