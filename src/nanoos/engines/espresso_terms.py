"""Terms that are added to a functional in the input of pw.x: U by element, and dispersion.

"Input File Description, Program: pw.x" of Quantum ESPRESSO, version 6.7 and 7.3. U is that of
S. L. Dudarev et al., Phys. Rev. B 57, 1505 (1998), on atomic orbitals as the pseudopotentials have
them, in every version.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from ase.data import atomic_numbers

Dispersion = Literal["D2", "D3", "D3(BJ)"]

DISPERSIONS: Mapping[Dispersion, Mapping[str, Any]] = {
    "D2": {"vdw_corr": "grimme-d2"},
    "D3": {"vdw_corr": "grimme-d3", "dftd3_version": 3},
    "D3(BJ)": {"vdw_corr": "grimme-d3", "dftd3_version": 4},
}
"""The variables of each: S. Grimme, J. Comput. Chem. 27, 1787 (2006); S. Grimme et al.,
J. Chem. Phys. 132, 154104 (2010) and J. Comput. Chem. 32, 1456 (2011)."""

_NOBLE = (2, 10, 18, 36, 54, 86)
_LETTERS = {
    "s": "H",
    "p": "C N O As",
    "d": "Ti V Cr Mn Fe Co Ni Cu Zn Ga Zr Nb Mo Tc Ru Rh Pd Ag Cd In Hf Ta W Re Os Ir Pt Au Hg",
    "f": "Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr",
}
"""Shells that version 6.7 has for U, by its file set_hubbard_l.f90; later ones are told them."""
_INNER = {"s": 0, "p": 0, "d": 1, "f": 2}
"""By how much a shell's principal number is less than the period of its element."""

SHELLS: Mapping[str, str] = {
    element: f"{bisect_left(_NOBLE, atomic_numbers[element]) + 1 - _INNER[letter]}{letter}"
    for letter, elements in _LETTERS.items()
    for element in elements.split()
}
"""Element → the shell that its U is for, such as ``3d``."""

CARD_SINCE = (7, 1)
"""The version since which U stands in a card of its own."""


def sites(hubbard_ev: Mapping[str, float]) -> dict[str, float]:
    """Return U in eV by element and shell, as a method has it."""
    return {f"{element} {SHELLS[element][-1]}": u_ev for element, u_ev in hubbard_ev.items()}


def u_input(
    hubbard_ev: Mapping[str, float], elements: Iterable[str], version: str
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the variables and the card of U, as ``version`` reads them.

    ``elements`` are those of the input, in its order; nothing for those without U in eV.
    """
    given = {place: element for place, element in enumerate(elements, 1) if element in hubbard_ev}
    if not given:
        return {}, ()
    if _is_before_the_card(version):
        us = {f"Hubbard_U({place})": hubbard_ev[element] for place, element in given.items()}
        return {"lda_plus_u": True, **us}, ()
    lines = (f"  U {one}-{SHELLS[one]} {hubbard_ev[one]!r}" for one in given.values())
    return {}, ("HUBBARD {atomic}", *lines)


def _is_before_the_card(version: str) -> bool:
    found = re.match(r"(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) < CARD_SINCE
