"""What input and output of Quantum ESPRESSO share: labels, units, numbers, positions, cells.

"Input File Description, Program: pw.x", cards ATOMIC_SPECIES, ATOMIC_POSITIONS, CELL_PARAMETERS.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Sequence

import numpy as np

from nanoos.errors import ParseError
from nanoos.parsers.espresso_cell import BOHR_A
from nanoos.structures.structure import ELEMENTS, Array

Line = tuple[int, str]
"""The number of a line and its text."""

_LABEL = re.compile(r"([A-Za-z]{1,2})([-_]?.*)")
_UNIT = re.compile(r"\w+\s*[({]?\s*(\w+)?")
_ALAT = re.compile(r"alat\s*=\s*([\d.]+)", re.IGNORECASE)
_MAX_EXPRESSION = 100  # characters: QE's own are far shorter
_OPERATORS: dict[type[ast.AST], Callable[..., float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: math.pow,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
_FUNCTIONS = {name: getattr(math, name) for name in ("sqrt", "sin", "cos", "tan", "exp", "log")}


def element_of(label: str, line: int) -> str:
    """Return the element of a label: a symbol in any case, then a number or a word (Fe1, C_h).

    A label of two letters that are a symbol is that element, as pw.x has it.
    """
    found = _LABEL.fullmatch(label)
    letters = found[1].capitalize() if found else ""
    for symbol in (letters, letters[:1]):
        if symbol in ELEMENTS:
            return symbol
    raise ParseError(f"The atom's label {label!r} begins with no element.", line=line)


def unit_of(header: str, default: str) -> str:
    """Return the option of a card, in lower case: ``ATOMIC_POSITIONS {angstrom}``."""
    found = _UNIT.match(header.strip())
    return (found[1] or default).lower() if found else default


def stated_alat_a(header: str) -> float | None:
    """Return the length in Å that the card of an output names: ``(alat= 10.2)``, in bohr."""
    found = _ALAT.search(header)
    return float(found[1]) * BOHR_A if found else None


def number(word: str, line: int) -> float:
    """Return the value of a number as Fortran has it, or of an expression such as ``2/3``."""
    text = re.sub(r"(?<=[\d.])[dDqQ](?=[-+]?\d)", "e", word)
    try:
        value = float(text)
    except ValueError:
        value = _evaluated(text.replace("^", "**"), line)
    if not math.isfinite(value):
        raise ParseError(f"{word} is no finite number.", line=line)
    return value


def _evaluated(text: str, line: int) -> float:
    try:
        if len(text) > _MAX_EXPRESSION:
            raise ValueError
        return _value(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, LookupError, TypeError, ArithmeticError, RecursionError):
        raise ParseError(f"Expected a number, not {text[:_MAX_EXPRESSION]!r}.", line=line) from None


def _value(node: ast.expr) -> float:
    """Return the value of an arithmetic expression, of floats alone; nothing else is evaluated."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return float(node.value)  # type: ignore[arg-type]
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.left), _value(node.right))
    if isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.operand))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return float(_FUNCTIONS[node.func.id](*map(_value, node.args)))
    raise ValueError


def cell_rows(lines: Sequence[Line], after: int) -> Array:
    """Return the three vectors of a cell card, in its unit."""
    if len(lines) < 3:
        raise ParseError("The card CELL_PARAMETERS is cut short.", line=after)
    return np.array([_vector(text.split(), line) for line, text in lines[:3]])


def atom_rows(lines: Sequence[Line], count: int, after: int) -> tuple[list[str], Array]:
    """Return the elements and the positions, in its unit, of a card of positions."""
    if len(lines) < count:
        raise ParseError(
            f"The card ATOMIC_POSITIONS should have {count} atoms but ends after {len(lines)}: "
            "it is cut short.",
            line=after,
        )
    rows = [(line, text.split()) for line, text in lines[:count]]
    blank = next((line for line, words in rows if not words), None)
    if blank is not None:
        raise ParseError("Expected an element and its position.", line=blank)
    elements = [element_of(words[0], line) for line, words in rows]
    return elements, np.array([_vector(words[1:], line) for line, words in rows])


def _vector(words: list[str], line: int) -> list[float]:
    if len(words) < 3:
        raise ParseError("Expected three numbers.", line=line)
    return [number(word, line) for word in words[:3]]


def scale_a(unit: str, alat_a: float | None, line: int) -> float:
    """Return the length of a card's unit in Å. Raises ParseError for one that is none."""
    scale = {"alat": alat_a, "bohr": BOHR_A, "angstrom": 1.0}.get(unit)
    if scale is None:
        raise ParseError(f"The unit {unit} is unknown, or its length is not given.", line=line)
    return scale


def positions_a(rows: Array, unit: str, cell_a: Array, alat_a: float, line: int) -> Array:
    """Return positions in Å. Raises ParseError for a unit that is none, or needs symmetry."""
    if unit == "crystal":
        return rows @ cell_a
    if unit == "crystal_sg":
        raise ParseError(
            "The positions are those of a space group (crystal_sg), which is not read. Import the "
            "output of the run instead: it has all atoms.",
            line=line,
        )
    return rows * scale_a(unit, alat_a, line)
