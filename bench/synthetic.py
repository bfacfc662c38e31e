"""Small structures, already analysed, as many as one likes: no number here describes a material.

Compositions are skewed as real ones are; two to eight sites in cells of random shape. What a
search for symmetry would find is drawn at random, the rest is derived as always.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator

import numpy as np
from ase.build import bulk

from api.services.structure_import import Candidate
from nanoos.structures import Structure, analyse, fingerprint, formula
from nanoos.structures.structure import ELEMENTS

MATERIALS = 20_000


def candidates(count: int, seed: int) -> Iterator[Candidate]:
    """Yield ``count`` candidates, different for each seed."""
    chance = random.Random(seed)
    pool = list(compositions())
    template = analyse(Structure.from_ase(bulk("Cu")))
    for number in range(count):
        symbols = pool[int(len(pool) * chance.random() ** 3)]
        structure = arranged(symbols, chance)
        amounts = structure.composition
        cell = tuple(float(x) for x in np.linalg.norm(structure.lattice_a, axis=1))
        loose = dataclasses.replace(template.space_group_loose, number=1 + hash(symbols) % 230)
        analysis = dataclasses.replace(
            template,
            elements=structure.elements,
            elements_ratios=tuple(n / len(symbols) for n in amounts.values()),
            chemical_system=formula.chemical_system(amounts),
            reduced_formula=formula.reduced(amounts),
            anonymous_formula=formula.anonymous(amounts),
            hill_formula=formula.hill(amounts, molecule=False),
            n_sites=structure.n_sites,
            volume_a3=structure.volume_a3,
            density_g_per_cm3=structure.density_g_per_cm3,
            space_group_strict=loose,
            space_group_loose=loose,
            conventional_cell=(*cell, 90.0, chance.uniform(90, 120), 90.0),
            protostructure=f"{formula.anonymous(amounts)}_mP{len(symbols)}:{'-'.join(amounts)}",
            fingerprint=fingerprint(structure),
        )
        extra = {"database": "synthetic", "database_code": f"{seed}-{number}"}
        yield Candidate(structure, analysis, name=f"sample {seed} {number}", extra=extra)


def compositions() -> Iterator[tuple[str, ...]]:
    """Yield the symbols at the sites of each material."""
    chance = random.Random(0)
    symbols = sorted(ELEMENTS)
    chance.shuffle(symbols)
    weights = [1 / (place + 1) for place in range(len(symbols))]
    for _ in range(MATERIALS):
        yield tuple(sorted(chance.choices(symbols, weights, k=chance.randint(2, 8))))


def arranged(symbols: tuple[str, ...], chance: random.Random) -> Structure:
    """Put the atoms in a row along a body diagonal, 2 Å apart or more."""
    n = len(symbols)
    edges = [chance.uniform(2.0, 2.5) * n for _ in range(3)]
    positions = np.outer(np.arange(n) / n, edges)
    return Structure.of(np.diag(edges), positions, symbols)
