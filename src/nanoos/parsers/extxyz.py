"""XYZ and extended XYZ, any number of frames, read one after another in constant memory.

Format: https://github.com/libAtoms/extxyz. Without a ``Lattice`` in the comment line a frame
is a molecule; with one, it repeats in all directions unless ``pbc`` says otherwise. What else
the comment line says (energies too) is kept as it is, and the columns beside species and
position (forces …) under ``arrays``; ASE's reader of the line tells its types.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from nanoos.errors import ParseError, StructureError
from nanoos.parsers.parser import Parsed, Rejected
from nanoos.parsers.plain import plain
from nanoos.parsers.source import MAX_TEXT_BYTES, Source
from nanoos.structures import Structure
from nanoos.structures.structure import ELEMENTS, MAX_SITES, Array

_KEY = re.compile(r"\b(Lattice|Properties|pbc)\s*=", re.IGNORECASE)
_ATOM = re.compile(r"\s*([A-Z][a-z]?|\d+)(\s+\S+){3,}\s*")
_COUNT = re.compile(r"\s*0*([1-9][0-9]{0,14})\s*")
_ISOTOPES = {"D": "H", "T": "H"}
_PLAIN = "species:S:1:pos:R:3"
_TYPES: dict[str, type] = {"R": float, "I": int, "S": str, "L": bool}
_TRUTH = {"T": True, "F": False, "True": True, "False": False, "TRUE": True, "FALSE": False}
_ROWS = 20_000  # converted at a time: words take ten times the memory of numbers


class ExtendedXyz:
    """The parser of XYZ files, plain and extended."""

    name = "extxyz"

    def recognises(self, head: bytes, filename: str) -> bool:
        """A number of atoms, a comment line and an atom, or a name ending in .xyz or .extxyz."""
        lines = head.decode("utf-8-sig", errors="replace").splitlines()
        has_frame = (
            len(lines) > 1
            and _COUNT.fullmatch(lines[0]) is not None
            and (
                _KEY.search(lines[1]) is not None
                or (len(lines) > 2 and _ATOM.fullmatch(lines[2]) is not None)
            )
        )
        return has_frame or filename.lower().endswith((".xyz", ".extxyz"))

    def parse(self, source: Source) -> Iterator[Parsed | Rejected]:
        """Yield every frame; one of several that is wrong by itself is Rejected."""
        only: ParseError | None = None  # the error of the first frame, until another follows
        for line, frame in _frames(source.lines()):
            if only is not None:
                yield Rejected(only)
                only = None
            try:
                if isinstance(frame, ParseError):
                    raise frame
                parsed = _parsed(frame, line)
            except ParseError as error:
                if line == 1:
                    only = error
                else:
                    yield Rejected(error)
            else:
                yield parsed
        if only is not None:
            raise only


def _frames(lines: Iterator[str]) -> Iterator[tuple[int, list[str] | ParseError]]:
    """Yield (number of the frame's first line, its lines, or why it is too large)."""
    number = 0
    for first in lines:
        count = _COUNT.fullmatch(first)
        if count is None:
            if not first.strip() and not any(line.strip() for line in lines):
                return
            raise ParseError("Expected the number of atoms of a frame.", line=number + 1)
        n_lines = int(count[1]) + 2
        frame = _Frame(number + 1, int(count[1]))
        frame.add(first)
        while frame.n_lines < n_lines:
            line = next(lines, None)
            if line is None:
                raise ParseError(
                    f"The frame should have {count[1]} atoms but the file ends after "
                    f"{max(0, frame.n_lines - 2)}: it is cut short.",
                    line=number + frame.n_lines,
                )
            frame.add(line)
        yield number + 1, frame.error or frame.lines
        number += n_lines


class _Frame:
    """The lines of a frame, as long as they are not too many."""

    def __init__(self, line: int, n_atoms: int) -> None:
        self.lines: list[str] = []
        self.n_lines = 0
        self.error: ParseError | None = None
        self._size = 0
        self._line = line
        if n_atoms > MAX_SITES:
            self._refuse(f"has {n_atoms} atoms; at most {MAX_SITES} are read")

    def add(self, line: str) -> None:
        self.n_lines += 1
        self._size += len(line)
        if self.error is None:
            self.lines.append(line)
            if self._size > MAX_TEXT_BYTES:
                self._refuse(f"is larger than {MAX_TEXT_BYTES // 1024**2} MB")

    def _refuse(self, reason: str) -> None:
        self.error = ParseError(f"The frame {reason}.", line=self._line)
        self.lines = []


def _parsed(frame: list[str], line: int) -> Parsed:
    """Return one frame; ``line`` is the number of its first line."""
    if _KEY.search(frame[1]) is None:
        comment = frame[1].strip()
        extra: dict[str, Any] = {"comment": comment} if comment else {}
        properties = _PLAIN
        _check_plain(frame, line)
    else:
        extra = _said(frame[1], line)
        properties = str(extra.pop("Properties", _PLAIN))
    lattice, periodic = extra.pop("Lattice", None), extra.pop("pbc", None)
    columns = _columns(properties, frame, line)
    try:
        structure = _structure(
            None if lattice is None else np.array(lattice, dtype=np.float64).T,
            periodic,
            columns.pop("pos", None),
            columns.pop("species", columns.pop("Z", None)),
        )
    except (StructureError, ValueError, TypeError) as error:
        raise ParseError(str(error), line=line) from error
    if columns:
        extra["arrays"] = columns
    extra = {key: plain(value) for key, value in extra.items()}
    text = "\n".join(frame) + "\n"
    return Parsed(structure, str(extra.get("name") or extra.get("mineral") or ""), extra, text)


def _check_plain(frame: list[str], line: int) -> None:
    for number, text in enumerate(frame[2:], start=line + 2):
        words = text.split(maxsplit=4)
        if len(words) < 4 or _element(words[0]) is None:
            raise ParseError("Expected an element and its x, y and z in Å.", line=number)


def _said(comment: str, line: int) -> dict[str, Any]:
    """Return the keys and values of a comment line."""
    from ase.io.extxyz import key_val_str_to_dict

    try:
        said: dict[str, Any] = key_val_str_to_dict(comment)  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, IndexError, RecursionError) as error:
        raise ParseError(f"The frame is not valid extended XYZ: {error}.", line=line) from error
    return said


def _columns(properties: str, frame: list[str], line: int) -> dict[str, Any]:
    """Return each property's column as an array or a list; ``properties`` is name:type:width:…"""
    fields = properties.split(":")
    wanted: dict[str, tuple[type, slice]] = {}
    start = 0
    try:
        for name, kind, width in zip(fields[::3], fields[1::3], fields[2::3], strict=True):
            if not width.isdecimal() or int(width) == 0:
                raise ValueError(f"{name} has {width} columns")
            wanted[name] = (_TYPES[kind], slice(start, start := start + int(width)))
        blocks = [
            _block(wanted, start, frame[first : first + _ROWS])
            for first in range(2, len(frame), _ROWS)
        ]
    except (ValueError, KeyError, OverflowError) as error:
        raise ParseError(f"The frame is not valid extended XYZ: {error}.", line=line) from error
    return {name: np.concatenate([block[name] for block in blocks]) for name in wanted}


def _block(wanted: dict[str, tuple[type, slice]], width: int, lines: list[str]) -> dict[str, Any]:
    rows = [line.split() for line in lines]
    short = next((k for k, row in enumerate(rows) if len(row) < width), None)
    if short is not None:
        raise ValueError(f"{lines[short].strip()!r} has fewer than {width} columns")
    return {
        name: _converted([row[part] for row in rows], kind) for name, (kind, part) in wanted.items()
    }


def _converted(rows: list[list[str]], kind: type) -> Any:
    """Return the words of some columns as an array; a single column has one dimension."""
    if kind is bool:
        array = np.array([[_TRUTH[word] for word in row] for row in rows])
    else:
        array = np.array(rows, dtype=object if kind is str else kind)
    return array[:, 0] if array.shape[1] == 1 else array


def _structure(lattice: Array | None, periodic: Any, positions: Any, species: Any) -> Structure:
    from ase import Atoms

    if positions is None or species is None or positions.ndim != 2:
        raise StructureError("The frame has no species or no positions.")
    elements = {word: _element(str(word)) for word in set(species.tolist())}
    unknown = sorted(str(word) for word, element in elements.items() if element is None)
    if unknown:
        raise StructureError(f"The frame has an unknown element: {', '.join(unknown[:3])}.")
    if periodic is None:
        periodic = lattice is not None
    symbols = [elements[word] for word in species.tolist()]
    return Structure.from_ase(Atoms(symbols, positions, cell=lattice, pbc=periodic))


def _element(word: str) -> str | None:
    """Return the element of a symbol, whatever its case, or of an atomic number."""
    if word.isdecimal():
        word = chemical_symbols[int(word)] if len(word) < 4 and int(word) < 119 else ""
    symbol = word.capitalize()
    symbol = _ISOTOPES.get(symbol, symbol)
    return symbol if symbol in ELEMENTS else None
