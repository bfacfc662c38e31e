"""Chemical formulas by the rules of OPTIMADE 1.2 (section "Structures Entries").

Every function takes a composition: element → number of atoms in the cell, as
`Structure.composition` gives it.

With partial occupancies the numbers need not be integers. OPTIMADE then asks for integers
"that indicate the correct proportions within reasonable approximation"; here they are the
smallest ones that give each element's atomic fraction to within 0.001, whatever the cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from math import gcd
from string import ascii_lowercase, ascii_uppercase

import numpy as np

FRACTION_TOLERANCE = 0.001
_INTEGER_TOLERANCE = 1e-6
_MOST_ATOMS = 10_000  # of one formula unit; a trace element is not rounded away before that
_ATOMS_AT_ONCE = 256

Composition = Mapping[str, float]


def reduced(composition: Composition) -> str:
    """Return OPTIMADE's reduced formula: alphabetical, no "1", smallest integers (``O2Ti``)."""
    return _written(sorted(proportions(composition).items()))


def anonymous(composition: Composition) -> str:
    """Return the formula with letters for elements, largest number first (``A2B``)."""
    numbers = sorted(proportions(composition).values(), reverse=True)
    return _written([(anonymous_symbol(i), n) for i, n in enumerate(numbers)])


def hill(composition: Composition, *, molecule: bool) -> str | None:
    """Return the formula in Hill order: C, H, then alphabetical; without C all alphabetical.

    A molecule is written whole (``C6H6``), a crystal as its reduced formula unit. None when
    partial occupancies do not add up to whole atoms, as OPTIMADE asks for.
    E. A. Hill, J. Am. Chem. Soc. 22, 478 (1900).
    """
    if not _are_whole(composition.values()):
        return None
    numbers = (
        {e: round(n) for e, n in composition.items()} if molecule else proportions(composition)
    )
    first = ("C", "H") if "C" in numbers else ()
    order = [e for e in first if e in numbers] + sorted(set(numbers) - set(first))
    return _written([(e, numbers[e]) for e in order])


def chemical_system(composition: Composition) -> str:
    """Return the elements in alphabetical order, joined by hyphens (``Cl-Na``)."""
    return "-".join(sorted(composition))


def proportions(composition: Composition) -> dict[str, int]:
    """Return the smallest integers in the proportions of the composition."""
    return dict(zip(composition, _proportions(tuple(composition.values())), strict=True))


@lru_cache(maxsize=64)
def _proportions(amounts: tuple[float, ...]) -> tuple[int, ...]:
    """Return the same for amounts alone: each formula of a structure asks for them."""
    numbers = [round(n) for n in amounts] if _are_whole(amounts) else _approximated(amounts)
    divisor = gcd(*numbers)
    return tuple(n // divisor for n in numbers)


def _are_whole(amounts: Iterable[float]) -> bool:
    return all(round(n) > 0 and abs(n - round(n)) < _INTEGER_TOLERANCE for n in amounts)


def _approximated(amounts: Sequence[float]) -> list[int]:
    fractions = np.array(amounts) / sum(amounts)
    for first in range(len(fractions), _MOST_ATOMS, _ATOMS_AT_ONCE):
        atoms = np.arange(first, min(first + _ATOMS_AT_ONCE, _MOST_ATOMS))
        numbers = np.rint(fractions * atoms[:, None])
        errors = np.abs(numbers / numbers.sum(axis=1, keepdims=True) - fractions)
        good = (numbers > 0).all(axis=1) & (errors <= FRACTION_TOLERANCE).all(axis=1)
        if good.any():
            return [int(n) for n in numbers[good.argmax()]]
    numbers = np.maximum(1, np.rint(fractions * _MOST_ATOMS))
    return [int(n) for n in numbers]


def anonymous_symbol(index: int) -> str:
    """Return A … Z, Aa … Za, Ab … Zb and so on, OPTIMADE's letters for elements."""
    suffix, letter = divmod(index, len(ascii_uppercase))
    return ascii_uppercase[letter] + (ascii_lowercase[suffix - 1] if suffix else "")


def _written(parts: list[tuple[str, int]]) -> str:
    return "".join(symbol + (str(n) if n > 1 else "") for symbol, n in parts)
