"""Structures as rows, with all that they are asked for by, and citations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from samples import chain, compound, gas, metal, solid_solution
from sqlalchemy.ext.asyncio import AsyncSession

from api.models import Citation, Material, Structure, User
from api.models.structure import CELL
from nanoos.canonical import sha256
from nanoos.parsers import Parsed, read
from nanoos.structures import Species, analyse, fingerprint
from nanoos.structures import Structure as Atomic


def partly_occupied() -> Atomic:
    """A crystal whose site is empty now and then; its species does not say so."""
    there = Species("Fe", ("Fe",), (0.9,))
    return Atomic(np.eye(3) * 2.9, [[0.0, 0.0, 0.0]], (there,), ("Fe",))


def slab() -> Atomic:
    return Atomic.from_ase(
        Atoms("Cu2", positions=[[0, 0, 0], [1.3, 1.3, 1.8]], cell=[2.6, 2.6, 20], pbc=[1, 1, 0])
    )


def zoo() -> dict[str, Atomic]:
    """One structure of each sort there is."""
    return {
        "copper": metal("Cu"),
        "copper, eight times": metal("Cu", cells=2),
        "gold": metal("Au"),
        "rock salt": compound(),
        "zinc sulphide": compound("ZnS", "zincblende", 5.4),
        "water": gas(),
        "ethanol": gas("CH3CH2OH"),
        "wire": chain(),
        "slab": slab(),
        "alloy": solid_solution(),
        "partly empty": partly_occupied(),
    }


def crystals() -> Iterator[Parsed]:
    """The crystals of the examples, each once."""
    seen = set()
    for path in sorted((Path(__file__).parents[3] / "examples" / "crystals").iterdir()):
        for parsed in read(path):
            known = fingerprint(parsed.structure)
            if known not in seen:
                seen.add(known)
                yield parsed


@dataclass
class Filling:
    """Puts structures into a session's database."""

    session: AsyncSession
    owner: User
    materials: dict[Any, Material] = field(default_factory=dict)
    citations: dict[str, Citation] = field(default_factory=dict)

    async def add(
        self, structure: Atomic, *, visibility: str = "public", **known: Any
    ) -> Structure:
        """Store a structure as an import does, and return its row."""
        found = analyse(structure)
        strict, loose = found.space_group_strict, found.space_group_loose
        hill = found.hill_formula or found.reduced_formula
        number = loose and loose.number
        shared = {
            "elements": list(found.elements),
            "chemical_system": found.chemical_system,
            "reduced_formula": found.reduced_formula,
            "anonymous_formula": found.anonymous_formula,
            "owner_id": self.owner.id,
            "visibility": visibility,
        }
        key = (hill, number, visibility)
        if key not in self.materials:
            self.materials[key] = Material(hill_formula=hill, space_group_number=number, **shared)
            self.session.add(self.materials[key])
            await self.session.flush()
        values: dict[str, Any] = {
            "material_id": self.materials[key].id,
            "lattice_a": None if structure.lattice_a is None else structure.lattice_a.tolist(),
            "positions_a": structure.positions_a.tolist(),
            "species": [
                {
                    "name": one.name,
                    "chemical_symbols": list(one.chemical_symbols),
                    "concentration": list(one.concentration),
                }
                for one in structure.species
            ],
            "species_at_sites": list(structure.species_at_sites),
            "dimension_types": [int(direction) for direction in structure.periodic],
            "number_of_sites": found.n_sites,
            "elements_ratios": list(found.elements_ratios),
            "number_of_elements": len(found.elements),
            "number_of_periodic_dimensions": found.n_periodic,
            "is_ordered": found.is_ordered,
            "volume_a3": found.volume_a3,
            "density_g_per_cm3": found.density_g_per_cm3,
            "space_group_number_at_0_01": strict and strict.number,
            "space_group_symbol_at_0_01": strict and strict.symbol,
            "space_group_number_at_0_1": number,
            "space_group_symbol_at_0_1": loose and loose.symbol,
            **dict(zip(CELL, found.conventional_cell or (None,) * 6, strict=True)),
            "protostructure": found.protostructure,
            "fingerprint": found.fingerprint,
            "fingerprint_version": found.fingerprint_version,
            **shared,
        }
        row = Structure(**values | known)
        self.session.add(row)
        await self.session.flush()
        return row

    async def cite(self, **known: Any) -> Citation:
        """Store a publication, once, and return its row."""
        digest = sha256(known)
        if digest not in self.citations:
            self.citations[digest] = Citation(digest=digest, **known)
            self.session.add(self.citations[digest])
            await self.session.flush()
        return self.citations[digest]
