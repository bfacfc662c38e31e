"""Protostructure labels: which structure type, with which elements.

A label such as ``A2B_tP6_136_f_a:O-Ti`` (rutile) holds, in AFLOW's way (M. J. Mehl et al.,
Comput. Mater. Sci. 136, S1 (2017); D. Hicks et al., Comput. Mater. Sci. 199, 110450 (2021)),

- the stoichiometry, one letter a kind of site, in the order of the kinds;
- the Pearson symbol, with the atoms of the primitive cell for rhombohedral lattices (``hR10``);
- the number of the space group;
- for each kind the Wyckoff letters it occupies, ``2cd`` standing for two orbits at c, one at d;
- after the colon what each kind is: an element, or in parentheses the elements of a site that
  several share or that is partly occupied, whatever the occupancies: ``(Fe,Mg)-O-Si``.
"""

from __future__ import annotations

from collections import Counter
from math import gcd

import moyopy

from nanoos.structures.formula import anonymous_symbol
from nanoos.structures.structure import Species, Structure

Kind = tuple[tuple[str, float], ...]  # element and occupancy, sorted by element


def kinds_of_site(structure: Structure) -> tuple[list[Kind], list[int]]:
    """Return the distinct contents of sites, sorted, and for each site the index of its own."""
    contents = {s.name: _content(s) for s in structure.species}
    kinds = sorted(set(contents.values()), key=lambda kind: (_written(kind), kind))
    indices = {name: kinds.index(content) for name, content in contents.items()}
    return kinds, [indices[name] for name in structure.species_at_sites]


def label(found: moyopy.MoyoDataset, kinds: list[Kind], kind_at_sites: list[int]) -> str:
    """Return the label of a structure in which ``found`` is the symmetry."""
    sites = Counter(kind_at_sites)
    divisor = gcd(*sites.values())
    stoichiometry = "".join(
        anonymous_symbol(i) + _number(sites[i] // divisor) for i in range(len(kinds))
    )
    orbits = set(zip(kind_at_sites, found.wyckoffs, found.orbits, strict=True))
    times = Counter((kind, letter) for kind, letter, _ in orbits)
    letters = [
        "".join(
            _number(n) + letter
            for (k, letter), n in sorted(times.items(), key=lambda item: item[0][1].swapcase())
            if k == i
        )
        for i in range(len(kinds))
    ]
    parts = [stoichiometry, _pearson(found), str(found.number), *letters]
    return "_".join(parts) + ":" + "-".join(_written(kind) for kind in kinds)


def _content(species: Species) -> Kind:
    return tuple(species.occupancy.items())


def _written(kind: Kind) -> str:
    elements = ",".join(element for element, _ in kind)
    ordered = len(kind) == 1 and kind[0][1] == 1.0
    return elements if ordered else f"({elements})"


def _number(n: int) -> str:
    return str(n) if n > 1 else ""


def _pearson(found: moyopy.MoyoDataset) -> str:
    symbol = found.pearson_symbol
    if not symbol.startswith("hR"):
        return symbol
    return f"hR{int(symbol[2:]) // 3}"
