"""Energies in view that may be combined: of converged results, by comparable methods.

What compares energies of different structures begins here: hulls, and the best-known structure
of each material.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from api.errors import WrongUsage
from api.models import SimulationJob, SimulationResult, Structure
from api.schemas.energies import BestKnown, BestKnownStructures, MethodUsed, RefusedMaterial
from api.schemas.search import Query
from api.services import methods
from api.services.criteria import condition
from api.services.result_criteria import FINAL
from nanoos.methods import Method


class Energy(NamedTuple):
    """The energy of a result, and the structure it belongs to: the last one of its run."""

    result_id: UUID
    structure_id: UUID
    name: str | None
    reduced_formula: str
    elements: list[str]
    elements_ratios: list[float]
    space_group_number: int | None
    space_group_symbol: str | None
    protostructure: str | None
    fingerprint: str
    energy_ev_per_atom: float
    volume_a3_per_atom: float | None
    bulk_modulus_gpa: float | None
    method_sha256: str
    is_converged: bool
    is_free_atom: bool

    @property
    def composition(self) -> dict[str, float]:
        """Element → its share of the atoms."""
        return dict(zip(self.elements, self.elements_ratios, strict=True))

    @property
    def kind(self) -> Hashable:
        """Equal for results of one crystal structure, whatever its cell and size."""
        return self.reduced_formula, self.protostructure or self.fingerprint

    @property
    def material(self) -> Hashable:
        """Equal for results of one material: one formula in one space group."""
        return self.reduced_formula, self.space_group_number or self.fingerprint


class Energies(NamedTuple):
    """Energies that may be combined, and what was left out.

    ``used`` are their methods by hash. ``mixed`` says in words what cannot be compared though it
    was asked for together.
    """

    energies: list[Energy]
    used: dict[str, Method]
    mixed: list[str]
    n_unconverged: int
    n_of_other_methods: int

    def said(self) -> dict[str, Any]:
        """Return what a document says of methods and of what was left out: see `Compared`."""
        return {
            "methods": [
                MethodUsed(sha256=hash_, name=methods.name(method))
                for hash_, method in self.used.items()
            ],
            "mixed": self.mixed,
            "n_unconverged": self.n_unconverged,
            "n_of_other_methods": self.n_of_other_methods,
        }


async def in_view(
    session: AsyncSession, query: Query, *, method: str | None = None, mix: bool = False
) -> Energies:
    """Return the energies of converged results of the structures that a query finds.

    With ``method``, a hash or its beginning, those of other methods that cannot be compared with
    it, and with each other, are left out. Raises MixedMethods, with the reasons, where there are
    several and neither ``method`` nor ``mix`` says what to do; WrongUsage for both.
    """
    if method is not None and mix:
        raise WrongUsage("--method chooses one method and --mix takes all: say one of them.")
    first = None if method is None else (await methods.find(session, method)).sha256
    found = await _all(session, query)
    converged = [one for one in found if one.is_converged]
    together = await methods.comparable(
        session,
        [one.method_sha256 for one in converged],
        first=first,
        mix=mix or first is not None,
    )
    chosen = together.groups[:1] if first is not None else together.groups
    used = {hash_: together.methods[hash_] for group in chosen for hash_ in group}
    kept = [one for one in converged if one.method_sha256 in used]
    return Energies(
        energies=kept,
        used=used,
        mixed=[] if first is not None else list(together.mixed),
        n_unconverged=len(found) - len(converged),
        n_of_other_methods=len(converged) - len(kept),
    )


async def _all(session: AsyncSession, query: Query) -> list[Energy]:
    """Return all energies but those along molecular dynamics, converged or not."""
    rows = await session.execute(
        select(
            SimulationResult.id,
            Structure.id,
            Structure.name,
            Structure.reduced_formula,
            Structure.elements,
            Structure.elements_ratios,
            Structure.space_group_number_at_0_1,
            Structure.space_group_symbol_at_0_1,
            Structure.protostructure,
            Structure.fingerprint,
            SimulationResult.energy_ev_per_atom,
            SimulationResult.volume_a3_per_atom,
            SimulationResult.bulk_modulus_gpa,
            SimulationResult.method_sha256,
            SimulationResult.is_converged,
            (Structure.number_of_sites == 1) & (Structure.number_of_periodic_dimensions == 0),
        )
        .join(SimulationResult.simulation_job)
        .join(Structure, Structure.id == FINAL)
        .where(
            *condition(query),
            SimulationResult.energy_ev_per_atom.is_not(None),
            SimulationJob.parameters["task"].astext.is_distinct_from("molecular_dynamics"),
            SimulationJob.status != "cancelled",  # an unfinished run that went on
        )
        .order_by(SimulationResult.energy_ev_per_atom, SimulationResult.id)
    )
    return [Energy._make(row) for row in rows]


def lowest(
    energies: Iterable[Energy], by: Callable[[Energy], Hashable]
) -> list[tuple[Energy, int]]:
    """Return the lowest of each group, and how many are in it, by formula and energy."""
    groups: dict[Hashable, list[Energy]] = {}
    for one in energies:
        groups.setdefault(by(one), []).append(one)
    best = [
        (min(group, key=lambda one: one.energy_ev_per_atom), len(group))
        for group in groups.values()
    ]
    return sorted(best, key=lambda pair: (pair[0].reduced_formula, pair[0].energy_ev_per_atom))


async def best_known(
    session: AsyncSession, query: Query, *, method: str | None = None, mix: bool = False
) -> BestKnownStructures:
    """Return the structure of lowest energy of each material that a query finds; see `in_view`.

    A material with results of methods that cannot be compared is left out, with the choices.
    """
    found = await in_view(session, query, method=method, mix=mix or method is None)
    refused = [] if mix or method is not None else _refused(found)
    left_out = {one.kind for one in refused}
    kept = [one for one in found.energies if one.material not in left_out]
    used = {one.method_sha256 for one in kept}
    said = found._replace(
        used={hash_: known for hash_, known in found.used.items() if hash_ in used or not refused},
        mixed=found.mixed if mix else [],
    )
    return BestKnownStructures(
        materials=[
            BestKnown.model_validate(one._asdict() | {"results": number})
            for one, number in lowest(kept, lambda one: one.material)
        ],
        refused=[one.document for one in refused],
        **said.said(),
    )


class _Refused(NamedTuple):
    """A material whose energies cannot be compared with each other."""

    kind: Hashable
    document: RefusedMaterial


def _refused(found: Energies) -> list[_Refused]:
    """Return the materials whose results are of methods that cannot be compared."""
    materials: dict[Hashable, list[Energy]] = {}
    for one in found.energies:
        materials.setdefault(one.material, []).append(one)
    refused = []
    for kind, several in materials.items():
        counts = Counter(one.method_sha256 for one in several)
        groups = methods.grouped(found.used, [hash_ for hash_, _ in counts.most_common()])
        if len(groups) > 1:
            document = RefusedMaterial(
                reduced_formula=several[0].reduced_formula,
                space_group_symbol=several[0].space_group_symbol,
                choices=methods.choices(found.used, groups, counts),
            )
            refused.append(_Refused(kind, document))
    return sorted(refused, key=lambda one: one.document.reduced_formula)
