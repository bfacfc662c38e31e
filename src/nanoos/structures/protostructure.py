"""Protostructure labels: which structure type, made of which elements.

A label such as ``A2B_tP6_136_f_a:O-Ti`` (rutile) holds, in AFLOW's way (M. J. Mehl et al.,
Comput. Mater. Sci. 136, S1 (2017); D. Hicks et al., Comput. Mater. Sci. 199, 110450 (2021)),

- the stoichiometry, a letter for each kind of site, in the order of the kinds;
- the Pearson symbol, with the atoms of the primitive cell for rhombohedral lattices (``hR10``)
  and ``oC`` for all orthorhombic lattices centred on one face;
- the number of the space group;
- for each kind the Wyckoff letters it occupies: ``2cd`` is two orbits at c, one at d;
- after the colon what each kind is, in alphabetical order: an element, or in parentheses the
  elements of a site that is shared or partly occupied, however much: ``(Fe,Mg)-O-Si``.

Wyckoff letters that another origin or other axes would exchange are names of one thing, so of
all the labels that differ by them the one with the earliest letters is taken, kind by kind.
Kinds that are written alike take turns in the same way. Elements do not: perovskite with the
cations exchanged is another protostructure.

Mirror images share a label, except in the eleven pairs of enantiomorphic space groups, where
the number of the group says which of the two it is (quartz: 152 or 154).
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from itertools import accumulate, groupby
from math import gcd

import moyopy
import numpy as np

from nanoos.structures.formula import anonymous_symbol
from nanoos.structures.normalisers import LETTERS, permutations
from nanoos.structures.structure import Species, Structure

Kind = tuple[tuple[str, float], ...]  # element and occupancy, sorted by element
Times = tuple[int, ...]  # how many orbits at a, b, c …

_OCCUPANCY_DIGITS = 6  # those of the fingerprint


def kinds_of_site(structure: Structure) -> tuple[list[Kind], list[int]]:
    """Return the distinct contents of sites, and for each site the index of its own."""
    contents = {s.name: _content(s) for s in structure.species}
    kinds = sorted(set(contents.values()))
    indices = {name: kinds.index(content) for name, content in contents.items()}
    return kinds, [indices[name] for name in structure.species_at_sites]


def label(found: moyopy.MoyoDataset, kinds: list[Kind], kind_at_sites: list[int]) -> str:
    """Return the label of the structure in which ``found`` is the symmetry."""
    sites = Counter(kind_at_sites)
    order = sorted(range(len(kinds)), key=lambda i: (_written(kinds[i]), sites[i]))
    names = [_written(kinds[i]) for i in order]
    times = [[0] * len(LETTERS) for _ in kinds]
    for kind, letter, _ in set(zip(kind_at_sites, found.wyckoffs, found.orbits, strict=True)):
        times[kind][LETTERS.index(letter)] += 1
    written_alike = groupby(order, key=lambda i: (_written(kinds[i]), sites[i]))
    occupied = canonical(
        found.number,
        tuple(tuple(times[i]) for i in order),
        tuple(len(list(several)) for _, several in written_alike),
    )
    divisor = gcd(*sites.values())
    stoichiometry = [
        anonymous_symbol(n) + _number(sites[i] // divisor) for n, i in enumerate(order)
    ]
    letters = [
        "".join(_number(n) + letter for n, letter in zip(row, LETTERS, strict=True) if n)
        for row in occupied
    ]
    parts = ["".join(stoichiometry), _pearson(found), str(found.number), *letters]
    return "_".join(parts) + ":" + "-".join(names)


@lru_cache(maxsize=4096)
def canonical(
    number: int, occupied: tuple[Times, ...], alike: tuple[int, ...]
) -> tuple[Times, ...]:
    """Return ``occupied``, for each kind, with the letters renamed so that early ones come first.

    ``alike`` says how many kinds, one after another, may also change places among themselves.
    """
    renamings = permutations(number)
    rows = np.array(occupied, dtype=">u2")[:, renamings].swapaxes(0, 1)  # (m, kinds, letters)
    # As bytes, rows compare as the sequences of numbers that they are.
    keys = np.ascontiguousarray(rows).view(f"S{2 * renamings.shape[1]}")[:, :, 0]
    for n, first in zip(alike, accumulate(alike, initial=0), strict=False):
        if n > 1:
            keys[:, first : first + n] = np.sort(keys[:, first : first + n], axis=1)[:, ::-1]
    best = max(np.ascontiguousarray(keys).view(f"S{keys.itemsize * keys.shape[1]}")[:, 0].tolist())
    numbers = np.frombuffer(best.ljust(keys.itemsize * len(occupied), b"\0"), dtype=">u2")
    chosen = numbers.reshape(len(occupied), -1).tolist()
    return tuple((*row, *[0] * (len(LETTERS) - len(row))) for row in chosen)


def _content(species: Species) -> Kind:
    return tuple((e, round(share, _OCCUPANCY_DIGITS)) for e, share in species.occupancy.items())


def _written(kind: Kind) -> str:
    elements = ",".join(element for element, _ in kind)
    return elements if kind[1:] == () and kind[0][1] == 1.0 else f"({elements})"


def _number(n: int) -> str:
    return str(n) if n > 1 else ""


def _pearson(found: moyopy.MoyoDataset) -> str:
    """Return AFLOW's Pearson symbol: rhombohedral cells primitive, one-face-centred ones C."""
    lattice, n_atoms = found.pearson_symbol[:2], int(found.pearson_symbol[2:])
    if lattice == "hR":
        return f"hR{n_atoms // 3}"
    return f"{lattice.replace('S', 'C')}{n_atoms}"
