"""Equations of state from runs at several volumes: fitted, or refused with the cause."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest
from samples import calculated, gas, metal, stored
from sqlalchemy.ext.asyncio import AsyncSession

from api.errors import NotFound
from api.models import User
from api.services import methods, volume_series
from nanoos.errors import StructureError
from nanoos.methods import Method
from nanoos.workflows.birch_murnaghan import BirchMurnaghan

MESH = Method(code="VASP", functional="PBE", cutoff_ev=520.0, k_spacing_per_a=0.2)
DENSER = replace(MESH, k_spacing_per_a=0.19)
"""What the same mesh becomes in a larger cell."""
OTHER = replace(MESH, functional="LDA")
CURVE = BirchMurnaghan(-3.7, 12.0, 140.0, 5.0)


async def runs(
    session: AsyncSession, owner: User, symbol: str, volumes_a3: list[float], *hashes: str
) -> list[UUID]:
    """Store a run of an fcc metal at each volume, by these methods in turn."""
    crystals = [
        metal(symbol, cells=1 + n % 2, a=(4 * v) ** (1 / 3)) for n, v in enumerate(volumes_a3)
    ]
    ids = await stored(session, owner, *crystals)
    for n, (id_, volume) in enumerate(zip(ids, volumes_a3, strict=True)):
        await calculated(
            session,
            owner,
            id_,
            hashes[n % len(hashes)],
            energy_ev_per_atom=float(CURVE.energies_ev(volume)),
            volume_a3_per_atom=volume,
        )
    return ids


async def test_a_series_is_fitted(session: AsyncSession, owner: User) -> None:
    mesh, denser, other = await methods.store_(session, [MESH, DENSER, OTHER])
    ids = await runs(session, owner, "Cu", np.linspace(11.3, 12.7, 7).tolist(), mesh, denser)
    await calculated(
        session, owner, ids[0], mesh, energy_ev_per_atom=0.0, volume_a3_per_atom=11.3
    )  # a worse one at the same volume
    await runs(session, owner, "Ag", [15, 16, 17, 18], mesh)  # too few
    await runs(session, owner, "Pt", [15, 16, 17, 18, 19], mesh, other)  # of two methods
    (series,) = await volume_series.fitted(session)
    assert series.reduced_formula == "Cu"
    assert series.structure_ids == ids
    assert {one.sha256 for one in series.methods} == {mesh, denser}
    assert series.refusal is None
    assert series.fit is not None
    assert series.fit.volume_a3_per_atom == pytest.approx(12, rel=1e-4)
    assert series.fit.bulk_modulus_gpa == pytest.approx(140, rel=1e-3)
    assert series.fit.bulk_modulus_derivative == pytest.approx(5, abs=0.05)
    assert series.fit.is_good


async def test_a_minimum_that_is_not_bracketed_is_refused(
    session: AsyncSession, owner: User
) -> None:
    (mesh,) = await methods.store_(session, [MESH])
    ids = await runs(session, owner, "Cu", [12.1, 12.4, 12.7, 13.0, 13.3], mesh)
    (series,) = await volume_series.fitted(session, ids[2])
    assert series.fit is None
    assert series.refusal is not None
    assert "the lowest is that of the smallest volume. Calculate smaller ones" in series.refusal


async def test_results_by_one_structure(session: AsyncSession, owner: User) -> None:
    (mesh,) = await methods.store_(session, [MESH])
    copper = await runs(session, owner, "Cu", [11.4, 11.7, 12.0, 12.3, 12.6], mesh)
    await runs(session, owner, "Ag", [11.4, 11.7, 12.0, 12.3, 12.6], mesh)
    assert [one.reduced_formula for one in await volume_series.fitted(session)] == ["Ag", "Cu"]
    assert [s.structure_ids for s in await volume_series.fitted(session, copper[4])] == [copper]
    (water,) = await stored(session, owner, gas())
    with pytest.raises(StructureError, match="no crystal"):
        await volume_series.fitted(session, water)
    with pytest.raises(NotFound):
        await volume_series.fitted(session, UUID(int=0))
