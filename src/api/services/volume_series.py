"""Equations of state from results of one crystal structure at several volumes."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from uuid import UUID

import numpy as np
from sqlalchemy.ext.asyncio import AsyncSession

from api.schemas.energies import FittedCurve, MethodUsed, VolumeSeries
from api.schemas.search import Query
from api.services import energies, methods, structures
from api.services.energies import Energy
from nanoos.errors import StructureError, WorkflowError
from nanoos.methods import Method, comparable_groups
from nanoos.workflows.birch_murnaghan import fit_birch_murnaghan
from nanoos.workflows.equation_of_state import MAX_RESIDUAL_EV_PER_ATOM

FEWEST = 5
"""Volumes that a fit needs."""
SAME_VOLUME = 1e-4
"""Volumes that differ by a smaller share are one, at which the lowest energy counts."""


async def fitted(
    session: AsyncSession, structure_id: UUID | None = None, *, method: str | None = None
) -> list[VolumeSeries]:
    """Return the equation of state of each series of volumes, or of those of one structure.

    A series are converged results of one protostructure by comparable methods, at five volumes
    or more. Results of equations of state themselves are none of its points. Raises NotFound for
    an unknown structure, and StructureError for one whose protostructure is not known.
    """
    query = Query.model_validate({})
    if structure_id is not None:
        query = await _of_its_kind(session, structure_id)
    found = await energies.in_view(session, query, method=method, mix=method is None)
    points = [
        one
        for one in found.energies
        if one.protostructure and one.volume_a3_per_atom and one.bulk_modulus_gpa is None
    ]
    return [
        _fit(series, found.used)
        for several in _grouped(points)
        for series in _of_one_method(several, found.used)
        if len(series) >= FEWEST
    ]


async def _of_its_kind(session: AsyncSession, structure_id: UUID) -> Query:
    (structure,) = await structures.get(session, [structure_id])
    if structure.protostructure is None:
        raise StructureError(f"Structure {structure_id} is no crystal whose kind is known.")
    return Query.model_validate(
        {
            "protostructure": [structure.protostructure],
            "reduced_formula": [structure.reduced_formula],
        }
    )


def _grouped(points: Sequence[Energy]) -> list[list[Energy]]:
    """Return the points of each crystal structure, by formula."""
    groups: dict[Hashable, list[Energy]] = {}
    for one in sorted(points, key=lambda one: (one.reduced_formula, str(one.protostructure))):
        groups.setdefault(one.kind, []).append(one)
    return list(groups.values())


def _of_one_method(points: Sequence[Energy], used: dict[str, Method]) -> Iterator[list[Energy]]:
    """Yield the points of each group of comparable methods, one a volume, by volume."""
    hashes = sorted({one.method_sha256 for one in points})
    for group in comparable_groups([used[hash_] for hash_ in hashes]):
        names = {hashes[place] for place in group}
        yield _of_each_volume([one for one in points if one.method_sha256 in names])


def _of_each_volume(points: Sequence[Energy]) -> list[Energy]:
    kept: list[Energy] = []
    for one in sorted(points, key=_volume_a3):
        if kept and _volume_a3(one) - _volume_a3(kept[-1]) < SAME_VOLUME * _volume_a3(one):
            kept[-1] = min(kept[-1], one, key=lambda each: each.energy_ev_per_atom)
        else:
            kept.append(one)
    return kept


def _volume_a3(one: Energy) -> float:
    assert one.volume_a3_per_atom is not None  # noqa: S101 - those without are no points
    return one.volume_a3_per_atom


def _fit(series: Sequence[Energy], used: dict[str, Method]) -> VolumeSeries:
    volumes = [_volume_a3(one) for one in series]
    values = [one.energy_ev_per_atom for one in series]
    curve, refused = None, None
    try:
        fit = fit_birch_murnaghan(volumes, values)
    except WorkflowError as error:
        refused = str(error)
    else:
        residual = float(np.sqrt(np.mean((fit.energies_ev(volumes) - np.array(values)) ** 2)))
        curve = FittedCurve(
            volume_a3_per_atom=fit.volume_a3,
            energy_ev_per_atom=fit.energy_ev,
            bulk_modulus_gpa=fit.bulk_modulus_gpa,
            bulk_modulus_derivative=fit.bulk_modulus_derivative,
            residual_ev_per_atom=residual,
            is_good=residual <= MAX_RESIDUAL_EV_PER_ATOM,
        )
    return VolumeSeries(
        reduced_formula=series[0].reduced_formula,
        protostructure=str(series[0].protostructure),
        structure_ids=[one.structure_id for one in series],
        methods=[
            MethodUsed(sha256=hash_, name=methods.name(used[hash_]))
            for hash_ in sorted({one.method_sha256 for one in series})
        ],
        volumes_a3_per_atom=volumes,
        energies_ev_per_atom=values,
        fit=curve,
        refusal=refused,
    )
