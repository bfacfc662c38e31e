"""Quantum ESPRESSO: input of pw.x.

"Input File Description, Program: pw.x" of Quantum ESPRESSO 7. Its crystals repeat in all three
directions, also with ``assume_isolated``: that changes how they are calculated, and is kept in
``extra``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nanoos.errors import ParseError
from nanoos.parsers.arrays import check_n_sites
from nanoos.parsers.espresso_cards import (
    Line,
    atom_rows,
    cell_rows,
    number,
    positions_a,
    scale_a,
    unit_of,
)
from nanoos.parsers.espresso_cell import BOHR_A, bravais_cell, celldm_of
from nanoos.parsers.parser import Parsed
from nanoos.parsers.plain import clean
from nanoos.parsers.source import Source
from nanoos.structures import Structure
from nanoos.structures.structure import Array

_NAMELIST = re.compile(rb"&(control|system|electrons)\b", re.IGNORECASE)
_TOKEN = re.compile(
    r"'(?:[^']|'')*'?|\"[^\"]*\"?"  # text
    r"|(?P<key>[A-Za-z]\w*)\s*(?:\(\s*(?P<index>\d+)\s*(?:,[\s\d,]*)?\))?\s*="
    r"|(?P<end>/|&end\b)|[^\s,=/]+",
    re.IGNORECASE,
)
_CARDS = frozenset(
    {"ATOMIC_SPECIES", "ATOMIC_POSITIONS", "ATOMIC_VELOCITIES", "ATOMIC_FORCES", "K_POINTS"}
    | {"ADDITIONAL_K_POINTS", "CELL_PARAMETERS", "CONSTRAINTS", "OCCUPATIONS", "SOLVENTS"}
    | {"HUBBARD"}
)
_KEPT = {
    "task": "calculation",  # the results of one are ``calculation`` in ``extra``
    "assume_isolated": "assume_isolated",
    "tot_charge": "tot_charge",
}


class EspressoInput:
    """The parser of pw.x's input."""

    name = "espresso_in"

    def recognises(self, head: bytes, filename: str) -> bool:
        """A namelist before all but comments, or a name ending in .pwi or .pw.in."""
        lines = (line.strip() for line in head.splitlines())
        first = next((line for line in lines if line and line[:1] not in b"!#"), b"")
        named = filename.lower().endswith((".pwi", ".pw.in"))
        return named or _NAMELIST.match(first) is not None

    def parse(self, source: Source) -> Iterator[Parsed]:
        """Yield the one structure; ``extra`` holds what is to be calculated."""
        given = Input.of(source.text)
        alat_a, cell_a = _cell(given)
        card = given.card("ATOMIC_POSITIONS")
        count = given.number("nat")
        if count is None or count != int(count) or count < 1:
            raise ParseError("The input does not say how many atoms there are (nat).")
        check_n_sites(int(count))
        elements, rows = atom_rows(card.lines, int(count), card.line)
        unit = unit_of(card.header, "alat")
        positions = positions_a(rows, unit, cell_a, alat_a, card.line)
        extra: dict[str, Any] = {key: given.text(k) for key, k in _KEPT.items() if given.text(k)}
        structure = Structure.of(cell_a, positions, elements)
        yield Parsed(structure, given.text("title"), extra, source.text)


@dataclass
class Card:
    """A card: its first line, and those below it."""

    line: int
    header: str
    lines: list[Line] = field(default_factory=list)


@dataclass
class Input:
    """An input: variables of all namelists (their names differ), with their lines, and cards."""

    variables: dict[tuple[str, int], tuple[str, int]] = field(default_factory=dict)
    cards: dict[str, Card] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str) -> Input:
        """Read the namelists and cut out the cards."""
        given = cls()
        in_namelist = False
        card: Card | None = None
        key, index = "", 0
        for number_, raw in enumerate(text.splitlines(), 1):
            line = raw.strip()
            if line.startswith("&") and not in_namelist:
                in_namelist, card, key = True, None, ""
                line = re.sub(r"&\w+", "", line, count=1)
            if in_namelist:
                in_namelist, key, index = given._assign(line, number_, key, index)
            elif line and line[0] not in "!#":
                name = re.split(r"[\s({]", line, maxsplit=1)[0].upper()
                if name in _CARDS:
                    card = given.cards.setdefault(name, Card(number_, line))
                elif card is not None:
                    card.lines.append((number_, line))
        return given

    def _assign(self, line: str, number_: int, key: str, index: int) -> tuple[bool, str, int]:
        """Take over a line of a namelist; return whether it goes on, and where in a list."""
        for found in _TOKEN.finditer(_without_comment(line)):
            if found["end"]:
                return False, "", 0
            if found["key"]:
                key, index = found["key"].lower(), int(found["index"] or 1)
            elif key:
                self.variables[key, index] = found[0].strip("'\""), number_
                index += 1
        return True, key, index

    def card(self, name: str) -> Card:
        """Return a card. Raises ParseError where there is none of the name."""
        if name not in self.cards:
            raise ParseError(f"The input has no card {name}.")
        return self.cards[name]

    def text(self, key: str) -> str:
        """Return the text of a variable, empty where it is not set."""
        return clean(self.variables.get((key, 1), ("", 0))[0].strip())

    def number(self, key: str, index: int = 1) -> float | None:
        """Return a number. Raises ParseError where the variable is set to something else."""
        if (key, index) not in self.variables:
            return None
        return number(*self.variables[key, index])

    def numbers(self, *keys: str) -> dict[str, float]:
        """Return those of the variables that are set."""
        found = {key: self.number(key) for key in keys}
        return {key: value for key, value in found.items() if value is not None}


def _without_comment(line: str) -> str:
    """Return a line of a namelist without what follows a ``!`` outside quotes."""
    return re.sub(r"('(?:[^']|'')*'|\"[^\"]*\")|!.*", lambda m: m[1] or "", line)


def _cell(given: Input) -> tuple[float, Array]:
    """Return alat and the cell vectors, both in Å."""
    if given.number("space_group"):
        raise ParseError(
            "The cell is that of a space group (space_group), which is not read. Import the "
            "output of the run instead: it has all atoms."
        )
    ibrav = given.number("ibrav")
    if ibrav is None or ibrav != int(ibrav):
        raise ParseError("The input does not say which Bravais lattice it has (ibrav).")
    named = given.numbers("a", "b", "c", "cosab", "cosac", "cosbc")
    celldm = {k: value for k in range(1, 7) if (value := given.number("celldm", k)) is not None}
    if named.get("a"):
        celldm = celldm_of(int(ibrav), named)
    if any(not 0 < celldm[k] < 1e6 for k in (1, 2, 3) if celldm.get(k)):
        raise ParseError("A length of the cell (celldm, or A, B, C) is no positive number.")
    alat_a = celldm[1] * BOHR_A if celldm.get(1) else None
    if ibrav == 0:
        return _free_cell(given.card("CELL_PARAMETERS"), alat_a)
    if alat_a is None:
        raise ParseError("The input does not say how large the cell is: celldm(1) or A.")
    return alat_a, bravais_cell(int(ibrav), celldm) * alat_a


def _free_cell(card: Card, alat_a: float | None) -> tuple[float, Array]:
    """Return alat and the cell vectors in Å that a card states."""
    unit = unit_of(card.header, "alat" if alat_a else "bohr")
    cell_a = cell_rows(card.lines, card.line) * scale_a(unit, alat_a, card.line)
    return alat_a or float(np.linalg.norm(cell_a[0])), cell_a
