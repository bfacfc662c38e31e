"""Which element an atom site of a CIF block holds."""

from __future__ import annotations

import re

from nanoos.errors import ParseError
from nanoos.parsers.cif_items import Items
from nanoos.structures.structure import ELEMENTS

_FORMULA = "_chemical_formula_sum"
_WATER = re.compile(r"(?i:wat)|W\d*[a-z]?$")


class SiteElements:
    """Reads elements from type symbols (``Fe3+``), or from labels (``Fe1A``, ``SiT1``).

    A label can be read in two ways (``CO1``: C or Co). One that is in the block's stated
    formula is chosen; then the one whose letters are capitalised like a symbol.
    Deuterium is read as hydrogen, and water (``Wat``; ``W1`` where the formula has no tungsten)
    as its oxygen: where its hydrogen is, such a label does not say.
    """

    def __init__(self, items: Items) -> None:
        self._line = items.line("_atom_site_label")
        text = items.text(_FORMULA)
        self._stated = set() if text is None else _elements_in(text)
        self._read: dict[tuple[str, str | None], str] = {}

    def of(self, label: str, type_symbol: str | None) -> str:
        """Return the element. Raises ParseError for what names none."""
        if (label, type_symbol) not in self._read:
            self._read[label, type_symbol] = self._of(label, type_symbol)
        return self._read[label, type_symbol]

    def _of(self, label: str, type_symbol: str | None) -> str:
        name = type_symbol or label
        candidates = _candidates(name)
        if type_symbol is None and self._stated:
            candidates = [c for c in candidates if c in self._stated]
        if self._is_water(name):
            candidates = ["O"]
        if not candidates:
            reason = f" of the formula that the CIF states ({_FORMULA})" if self._stated else ""
            raise ParseError(f"Atom site {label}: {name!r} is no element{reason}.", line=self._line)
        return candidates[0]

    def _is_water(self, name: str) -> bool:
        if not _WATER.match(name) or (self._stated and "O" not in self._stated):
            return False
        is_spelt_out = name.lower().startswith("wat")
        return is_spelt_out or bool(self._stated and "W" not in self._stated)

    def check_complete(self, elements: set[str]) -> None:
        """Raise ParseError when an element of the stated formula has no site; H may lack one."""
        missing = self._stated - elements - {"H"}
        if missing:
            raise ParseError(
                f"The CIF states a formula with {', '.join(sorted(missing))}, which has no atom "
                "site: the model is incomplete or the file cut short.",
                line=self._line,
            )


def _candidates(text: str) -> list[str]:
    """Return the elements that the text may begin with, the likelier one first."""
    letters = re.match(r"[A-Za-z]{1,2}", text)
    if letters is None:
        return []
    one, two = _element(letters[0][0]), _element(letters[0]) if len(letters[0]) == 2 else None
    ordered = [two, one] if letters[0][1:].islower() else [one, two]
    return list(dict.fromkeys(c for c in ordered if c is not None))


def _element(letters: str) -> str | None:
    symbol = letters.capitalize()
    return "H" if symbol == "D" else symbol if symbol in ELEMENTS else None


def _elements_in(formula: str) -> set[str]:
    return {e for s in re.findall(r"[A-Z][a-z]?", formula) if (e := _element(s)) is not None}
