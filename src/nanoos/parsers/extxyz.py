"""XYZ and extended XYZ, any number of frames; each frame is read by ASE.

Format: https://github.com/libAtoms/extxyz. Without a ``Lattice`` in the comment line a frame
is a molecule; with one, it repeats in all directions unless ``pbc`` says otherwise.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import chemical_symbols

from nanoos.errors import ParseError, StructureError
from nanoos.parsers.parser import Parsed
from nanoos.parsers.source import Source
from nanoos.structures import Structure
from nanoos.structures.structure import ELEMENTS

if TYPE_CHECKING:
    from ase import Atoms

_KEY = re.compile(r"\b(Lattice|Properties|pbc)\s*=", re.IGNORECASE)
_ATOM = re.compile(r"\s*([A-Z][a-z]?|\d+)(\s+\S+){3,}\s*")


class ExtendedXyz:
    """The parser of XYZ files, plain and extended."""

    name = "extxyz"

    def recognises(self, head: bytes, filename: str) -> bool:
        """A number of atoms, a comment line and an atom, or a name ending in .xyz or .extxyz."""
        lines = head.decode(errors="replace").splitlines()
        has_frame = (
            len(lines) > 2
            and lines[0].strip().isdecimal()
            and (_KEY.search(lines[1]) is not None or _ATOM.fullmatch(lines[2]) is not None)
        )
        return has_frame or filename.lower().endswith((".xyz", ".extxyz"))

    def parse(self, source: Source) -> Iterator[Parsed]:
        """Yield every frame; ``extra`` holds the comment line's key–value pairs."""
        for line, frame in _frames(source.text.splitlines()):
            yield replace(_parsed(frame, line), source_text="\n".join(frame) + "\n")


def _frames(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of the frame's first line, its lines)."""
    start = 0
    while start < len(lines) and (start == 0 or any(line.strip() for line in lines[start:])):
        count = lines[start].strip()
        if not count.isdecimal() or int(count) == 0:
            raise ParseError("Expected the number of atoms of a frame.", line=start + 1)
        end = start + 2 + int(count)
        frame = lines[start:end]
        if len(frame) < end - start:
            raise ParseError(
                f"The frame should have {count} atoms but the file ends after "
                f"{max(0, len(frame) - 2)}: it is cut short.",
                line=len(lines),
            )
        yield start + 1, frame
        start = end


def _parsed(frame: list[str], line: int) -> Parsed:
    """Return one frame; ``line`` is the number of its first line."""
    if _KEY.search(frame[1]) is None:
        atoms = _atoms(_without_comment(frame, line), line)
        extra = {"comment": frame[1].strip()} if frame[1].strip() else {}
    else:
        atoms = _atoms(frame, line)
        extra = {key: _plain(value) for key, value in atoms.info.items()}
    try:
        structure = Structure.from_ase(atoms)
    except StructureError as error:
        raise ParseError(str(error), line=line) from error
    return Parsed(structure, str(extra.get("name") or extra.get("mineral") or ""), extra)


def _atoms(frame: list[str], line: int) -> Atoms:
    from ase.io.extxyz import XYZError, read_xyz

    try:
        frames: list[Atoms] = list(read_xyz(StringIO("\n".join(frame) + "\n"), slice(None)))
    except (XYZError, ValueError, TypeError, IndexError) as error:
        raise ParseError(f"The frame is not valid extended XYZ: {error}.", line=line) from error
    except KeyError as error:
        raise ParseError(f"The frame has an unknown element: {error}.", line=line) from error
    return frames[0]


def _without_comment(frame: list[str], line: int) -> list[str]:
    """Return a plain XYZ frame without what ASE would take for keys or further properties."""
    atoms = []
    for number, text in enumerate(frame[2:], start=line + 2):
        words = text.split()
        symbol = _symbol(words[0]) if len(words) > 3 else None
        if symbol is None:
            raise ParseError("Expected an element and its x, y and z in Å.", line=number)
        atoms.append(" ".join([symbol, *words[1:4]]))
    return [frame[0], "", *atoms]


def _symbol(word: str) -> str | None:
    """Return the element of a symbol or an atomic number."""
    if word.isdecimal() and 0 < int(word) < len(chemical_symbols):
        word = chemical_symbols[int(word)]
    return word if word in ELEMENTS else None


def _plain(value: Any) -> Any:
    """Return the value as JSON can hold it; a number that is not finite becomes None."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
