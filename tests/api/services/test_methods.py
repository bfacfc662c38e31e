"""Methods: each stored once, whoever stores it; energies of several are combined on request."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from samples import compound, metal, person, stored
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from api.errors import MixedMethods, NotFound, WrongUsage
from api.models import Method as Row
from api.models import SimulationJob, SimulationResult, User
from api.services import methods
from nanoos.engines.emt import Emt
from nanoos.methods import Method, Potential, document, sha256

IRON, OXYGEN = Potential("Fe", "PAW_PBE Fe 06Sep2000"), Potential("O", "PAW_PBE O 08Apr2002")
OXIDE = Method(code="VASP", functional="PBE", potentials=(IRON, OXYGEN), cutoff_ev=520.0)
OXIDE_U = replace(OXIDE, hubbard_ev={"Fe d": 5.3})
GAS = replace(OXIDE, potentials=(OXYGEN,))


async def finished(session: AsyncSession, owner: User, structure_id: UUID, method: str) -> None:
    job = SimulationJob(
        owner_id=owner.id,
        structure_id=structure_id,
        origin="imported",
        parameters_sha256="0" * 64,
        status="succeeded",
        finished_at=datetime.now(UTC),
    )
    session.add(job)
    await session.flush()
    session.add(SimulationResult(simulation_job_id=job.id, method_sha256=method, provenance={}))
    await session.flush()


async def test_a_method_is_stored_once(session: AsyncSession, owner: User) -> None:
    same = replace(OXIDE, potentials=(OXYGEN, IRON, OXYGEN), functional="gga-pbe")
    assert await methods.store_(session, []) == []
    hashes = await methods.store_(session, [OXIDE, GAS, same])
    assert hashes == [sha256(OXIDE), sha256(GAS), sha256(OXIDE)]
    assert await methods.store_(session, [same]) == hashes[:1]
    assert await session.scalar(select(func.count()).select_from(Row)) == 2
    assert document((await methods.of(session, hashes))[hashes[0]]) == document(OXIDE)
    with pytest.raises(NotFound, match="0000"):
        await methods.of(session, ["0" * 64])


async def test_two_may_store_the_same_at_once(sessions: async_sessionmaker[AsyncSession]) -> None:
    async def store(several: list[Method]) -> None:
        async with sessions() as session, session.begin():
            await methods.store_(session, several)
            await asyncio.sleep(0.05)

    many = [replace(OXIDE, cutoff_ev=float(n)) for n in range(300, 340)]
    await asyncio.gather(*(store(many[::step]) for step in (1, -1, 1, -1)))
    async with sessions() as session:
        assert await session.scalar(select(func.count()).select_from(Row)) == len(many)


async def test_comparable_methods_are_one_group(session: AsyncSession, owner: User) -> None:
    oxide, gas = await methods.store_(session, [OXIDE, GAS])
    together = await methods.comparable(session, [gas, oxide, oxide])
    assert together.groups == [[oxide, gas]]
    assert together.mixed == []
    assert (await methods.comparable(session, [])).groups == []


async def test_a_mix_is_refused_with_the_reason(session: AsyncSession, owner: User) -> None:
    oxide, with_u, gas = await methods.store_(session, [OXIDE, OXIDE_U, GAS])
    reason = "U of Fe .*5.3"
    with pytest.raises(MixedMethods, match=reason):
        await methods.comparable(session, [with_u, oxide, gas])
    together = await methods.comparable(session, [with_u, oxide, gas, with_u], mix=True)
    assert [set(group) for group in together.groups] == [{with_u, gas}, {oxide, gas}]
    (said,) = together.mixed
    assert "U of Fe" in said
    assert said.startswith(f"{with_u[: methods.SHORT]} and {oxide[: methods.SHORT]}")


async def test_the_list_counts_what_is_in_view(session: AsyncSession, owner: User) -> None:
    emt, oxide = await methods.store_(session, [Emt().method(), OXIDE])
    stranger = await person(session, "eve")
    copper, salt = await stored(session, owner, metal("Cu"), compound("NaCl"))
    (hers,) = await stored(session, stranger, metal("Au"), visibility="public")
    for structure_id in (copper, salt):
        await finished(session, owner, structure_id, emt)
    await finished(session, owner, copper, oxide)
    await finished(session, stranger, hers, emt)
    (secret,) = await methods.store_(session, [OXIDE_U])
    await finished(session, stranger, hers, secret)
    for ask in (methods.show, methods.find):
        with pytest.raises(NotFound):
            await ask(session, secret)
    with pytest.raises(NotFound):
        await methods.diff(session, oxide, secret)
    first, second = await methods.list_(session)
    assert (first.sha256, first.results, first.elements) == (emt, 2, ["Cl", "Cu", "Na"])
    assert (second.sha256, second.results, second.elements) == (oxide, 1, ["Cu"])
    assert second.name == "VASP PBE, 520 eV"
    shown = await methods.show(session, emt[:8].upper())
    assert (shown.results, shown.document) == (2, document(Emt().method()))


async def test_a_method_is_named_by_the_beginning_of_its_hash(
    session: AsyncSession, owner: User
) -> None:
    many = await methods.store_(
        session, [replace(OXIDE, cutoff_ev=float(n)) for n in range(300, 317)]
    )
    (copper,) = await stored(session, owner, metal("Cu"))
    for hash_ in many:
        await finished(session, owner, copper, hash_)
    shared = next(a for a in many if sum(b[0] == a[0] for b in many) > 1)[0]  # of 17, two
    with pytest.raises(WrongUsage, match="Several"):
        await methods.find(session, shared)
    for wrong, error in {"0123456789": NotFound, "": WrongUsage, "x%": WrongUsage}.items():
        with pytest.raises(error):
            await methods.find(session, wrong)


async def test_what_keeps_two_apart(session: AsyncSession, owner: User) -> None:
    one, other = await methods.store_(session, [OXIDE, OXIDE_U])
    (copper,) = await stored(session, owner, metal("Cu"))
    for hash_ in (one, other):
        await finished(session, owner, copper, hash_)
    found = await methods.diff(session, one[:10], other[:10])
    assert (found.one, found.other, found.level) == (one, other, None)
    assert [(d.what, d.breaks) for d in found.differences] == [("U of Fe (eV)", "same functional")]
    assert (await methods.diff(session, one, one)).level == "exact"
