"""FHI-aims: ``geometry.in``.

Blum et al., Comput. Phys. Commun. 180, 2175 (2009), and the manual's chapter on geometry.in:
positions in Å (``atom``) or in fractions of the cell (``atom_frac``), no cell or a whole one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from nanoos.errors import ParseError
from nanoos.parsers.arrays import check_n_sites
from nanoos.parsers.parser import Parsed
from nanoos.parsers.source import Source
from nanoos.structures import Structure
from nanoos.structures.structure import ELEMENTS

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?"
_VECTOR = re.compile(rf"\s*(?:atom|atom_frac|lattice_vector)(?:\s+{_NUMBER}){{3}}(?:\s.*)?")
_SPECIES = re.compile(r"([A-Z][a-z]?)(?:[^a-z].*)?")  # C, C1, Fe_up


class AimsGeometry:
    """The parser of FHI-aims's geometry.in."""

    name = "aims"

    def recognises(self, head: bytes, filename: str) -> bool:
        """A line with an atom or a lattice vector; or the name geometry.in."""
        lines = head.decode(errors="replace").splitlines()
        named = filename.lower().startswith("geometry.in")
        return named or any(_VECTOR.fullmatch(line.partition("#")[0]) for line in lines)

    def parse(self, source: Source) -> Iterator[Parsed]:
        """Yield the one structure; what moves, and how it is magnetised, is not read."""
        lattice: list[list[float]] = []
        atoms: list[tuple[bool, list[float], str]] = []  # whether fractional, where, what
        for number, line in enumerate(source.text.splitlines(), 1):
            keyword, *words = line.partition("#")[0].split() or [""]
            if keyword == "lattice_vector":
                lattice.append(_vector(words, number))
            elif keyword in ("atom", "atom_frac"):
                where = _vector(words, number)
                atoms.append((keyword == "atom_frac", where, _element(words, number)))
        yield Parsed(_structure(lattice, atoms), source_text=source.text)


def _vector(words: list[str], line: int) -> list[float]:
    try:
        x, y, z = (float(re.sub("[dD]", "e", word)) for word in words[:3])
    except ValueError:
        raise ParseError("Expected three numbers.", line=line) from None
    return [x, y, z]


def _element(words: list[str], line: int) -> str:
    found = _SPECIES.fullmatch(words[3]) if len(words) > 3 else None
    if found is None or found[1] not in ELEMENTS:
        raise ParseError("Expected the element of the atom behind its position.", line=line)
    return found[1]


def _structure(lattice: list[list[float]], atoms: list[tuple[bool, list[float], str]]) -> Structure:
    if len(lattice) not in (0, 3):
        raise ParseError(f"Expected three lattice vectors or none, not {len(lattice)}.")
    if not atoms:
        raise ParseError("The geometry has no atom.")
    if not lattice and any(fractional for fractional, _, _ in atoms):
        raise ParseError("A position in fractions (atom_frac) needs lattice vectors.")
    check_n_sites(len(atoms))
    cell = np.array(lattice) if lattice else None
    positions = np.array([where for _, where, _ in atoms])
    if cell is not None:
        fractional = np.array([fractional for fractional, _, _ in atoms])
        positions[fractional] = positions[fractional] @ cell
    return Structure.of(cell, positions, [element for _, _, element in atoms])
