"""Convex hulls of chemical systems, from results in view by comparable methods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from api.models import Structure
from api.schemas.energies import ConvexHull, HullEntry, MissingReference, Product
from api.schemas.search import Query
from api.services import energies, methods
from api.services.energies import Energy
from api.services.structures import to_atoms
from nanoos import plugins
from nanoos.engines import Engine
from nanoos.methods import Method, comparable
from nanoos.thermodynamics import Entry, Hull, convex_hull
from nanoos.workflows import refusal

WORKFLOW = "equation_of_state"
"""The workflow that finds the energy of an element at its best volume."""
CANDIDATES = 20
"""Structures of a missing element that are offered to an engine."""


class Found(NamedTuple):
    """A hull as a document, and as the science has it: None where references are missing."""

    document: ConvexHull
    hull: Hull | None


async def hull(
    session: AsyncSession,
    elements: Sequence[str],
    *,
    method: str | None = None,
    mix: bool = False,
) -> Found:
    """Return the convex hull of the system of these elements; see `energies.in_view`.

    Each crystal structure is in it once, with its lowest energy; free atoms, which are no phase of
    their element, are left out. Where there is no energy of an
    element, the compounds come without the hull, and with what is missing.
    """
    query = Query.model_validate({"chemical_subsystems_of": elements})
    found = await energies.in_view(session, query, method=method, mix=mix)
    bound = [one for one in found.energies if not one.is_free_atom]
    chosen = [one for one, _ in energies.lowest(bound, lambda one: one.kind)]
    known = {one.elements[0] for one in chosen if len(one.elements) == 1}
    lacking = [element for element in sorted(elements) if element not in known]
    science = None
    if not lacking:
        science = convex_hull([Entry(one.composition, one.energy_ev_per_atom) for one in chosen])
    document = ConvexHull(
        chemical_system="-".join(sorted(elements)),
        entries=list(_entries(chosen, science)),
        missing=[await _missing(session, element, found.used) for element in lacking],
        **found.said(),
    )
    return Found(document, science)


def _entries(chosen: Sequence[Energy], hull: Hull | None) -> Iterator[HullEntry]:
    for i, one in enumerate(chosen):
        entry = HullEntry.model_validate(one._asdict())
        if hull is not None:
            entry.formation_energy_ev_per_atom = float(hull.formation_ev_per_atom[i])
            entry.energy_above_hull_ev_per_atom = float(hull.above_hull_ev_per_atom[i])
            entry.is_stable = bool(hull.is_stable[i])
            entry.decomposition = [
                Product(
                    reduced_formula=chosen[product].reduced_formula,
                    structure_id=chosen[product].structure_id,
                    share=share,
                )
                for product, share in hull.decompositions[i].items()
            ]
        yield entry


async def _missing(
    session: AsyncSession, element: str, used: Mapping[str, Method]
) -> MissingReference:
    """Say how an energy of the element is to be had by the methods used, or by any if none is."""
    engines = [
        engine for engine in _engines() if element in engine.elements and _suits(engine, used)
    ]
    if not engines:
        how = " or ".join(sorted({methods.name(one) for one in used.values()})) or "any one method"
        advice = (
            f"Calculate {element} by itself with {how}, then bring it in: "
            "nano-os results import FOLDER"
        )
        return MissingReference(element=element, command=None, advice=advice)
    candidates = await session.scalars(
        select(Structure)
        .where(Structure.chemical_system == element, Structure.origin == "upload")
        .order_by(Structure.number_of_sites, Structure.id)
        .limit(CANDIDATES)
    )
    structures = [(row.id, to_atoms(row)) for row in candidates]
    workflow = plugins.get("nanoos.workflows", WORKFLOW)()
    for engine in engines:
        able = [str(id_) for id_, atoms in structures if refusal(workflow, atoms, engine) is None]
        if able:
            command = f"nano-os jobs submit {WORKFLOW} {' '.join(able)} --engine {engine.name}"
            return MissingReference(
                element=element, command=command, advice="Then: nano-os worker --drain"
            )
    advice = (
        f"Bring in a crystal of {element}: nano-os structures import FILE. "
        f"{engines[0].name} can calculate it."
    )
    return MissingReference(element=element, command=None, advice=advice)


def _engines() -> Iterator[Engine]:
    """Yield the engines that can run here."""
    for plugin in plugins.load("nanoos.engines").values():
        engine: Engine = plugin()
        if engine.probe() is None:
            yield engine


def _suits(engine: Engine, used: Mapping[str, Method]) -> bool:
    method = engine.method()
    return all(comparable(method, one) for one in used.values())
