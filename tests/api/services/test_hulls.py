"""Hulls take the lowest converged energy of each structure, by comparable methods alone."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
from ase.build import bulk
from samples import calculated, compound, gas, metal, person, stored
from sqlalchemy.ext.asyncio import AsyncSession

from api.errors import MixedMethods, NotFound, WrongUsage
from api.models import User
from api.schemas.search import Query
from api.services import energies, hulls, methods, search
from nanoos.engines.emt import Emt
from nanoos.methods import Method
from nanoos.structures import Species, Structure

PBE = Method(code="VASP", functional="PBE", cutoff_ev=520.0)
LDA = replace(PBE, functional="LDA")
AL_CU = {"Al": -3.7, "Cu": -3.9, "AlCu": -4.0}
"""eV per atom; so AlCu forms with -0.2."""


async def alloys(session: AsyncSession, owner: User, method: str) -> dict[str, UUID]:
    """Store aluminium, copper and AlCu with the energies above; return the structures."""
    ids = await stored(
        session, owner, metal("Al"), metal("Cu"), compound("AlCu", "cesiumchloride", 3.0)
    )
    by_formula = dict(zip(AL_CU, ids, strict=True))
    for formula, energy in AL_CU.items():
        await calculated(session, owner, by_formula[formula], method, energy_ev_per_atom=energy)
    return by_formula


async def test_a_hull_is_of_the_lowest_converged_results(
    session: AsyncSession, owner: User
) -> None:
    (pbe,) = await methods.store_(session, [PBE])
    ids = await alloys(session, owner, pbe)
    await calculated(session, owner, ids["AlCu"], pbe, energy_ev_per_atom=-3.9)
    await calculated(session, owner, ids["Al"], pbe, energy_ev_per_atom=-9.0, is_converged=False)
    await calculated(session, owner, ids["Cu"], pbe)  # no energy
    (salt,) = await stored(session, owner, compound("AlCu", "rocksalt", 5.0))
    await calculated(session, owner, salt, pbe, energy_ev_per_atom=-3.7)
    document, hull = await hulls.hull(session, ["Cu", "Al"])
    assert hull is not None
    assert document.chemical_system == "Al-Cu"
    assert document.missing == []
    assert document.n_unconverged == 1
    found = {one.structure_id: one for one in document.entries}
    assert found.keys() == {*ids.values(), salt}
    assert [found[id_].is_stable for id_ in ids.values()] == [True] * 3
    assert found[ids["AlCu"]].formation_energy_ev_per_atom == pytest.approx(-0.2)
    assert found[salt].energy_above_hull_ev_per_atom == pytest.approx(0.3)
    (product,) = found[salt].decomposition
    assert (product.structure_id, product.share) == (ids["AlCu"], 1)


async def test_the_energy_is_that_of_the_structure_a_run_ended_with(
    session: AsyncSession, owner: User
) -> None:
    (pbe,) = await methods.store_(session, [PBE])
    before, after = await stored(session, owner, metal("Cu", a=3.9), metal("Cu"))
    await calculated(
        session, owner, before, pbe, energy_ev_per_atom=-3.9, output_structure_id=after
    )
    document, _ = await hulls.hull(session, ["Cu"])
    assert [one.structure_id for one in document.entries] == [after]
    assert document.entries[0].is_stable


async def test_a_free_atom_is_no_reference(session: AsyncSession, owner: User) -> None:
    (pbe,) = await methods.store_(session, [PBE])
    copper, atom = await stored(
        session, owner, metal("Cu"), Structure.of(None, [[0.0] * 3], ["Al"])
    )
    await calculated(session, owner, copper, pbe, energy_ev_per_atom=-3.9)
    await calculated(session, owner, atom, pbe, energy_ev_per_atom=-0.2)
    document, hull = await hulls.hull(session, ["Al", "Cu"])
    assert hull is None
    assert [one.element for one in document.missing] == ["Al"]


async def test_a_mix_of_methods_is_refused_chosen_from_or_told(
    session: AsyncSession, owner: User
) -> None:
    pbe, lda = await methods.store_(session, [PBE, LDA])
    ids = await alloys(session, owner, pbe)
    await calculated(session, owner, ids["AlCu"], lda, energy_ev_per_atom=-7.0)
    with pytest.raises(MixedMethods, match="functional: PBE and LDA"):
        await hulls.hull(session, ["Al", "Cu"])
    document, _ = await hulls.hull(session, ["Al", "Cu"], method=pbe[:10])
    assert [one.energy_ev_per_atom for one in document.entries] == list(
        map(AL_CU.get, ["Al", "AlCu", "Cu"])
    )
    assert (document.n_of_other_methods, document.mixed) == (1, [])
    document, _ = await hulls.hull(session, ["Al", "Cu"], mix=True)
    assert min(one.energy_ev_per_atom for one in document.entries) == -7
    assert "functional" in document.mixed[0]
    with pytest.raises(WrongUsage, match="say one of them"):
        await hulls.hull(session, ["Al", "Cu"], method=pbe, mix=True)
    with pytest.raises(NotFound):
        await hulls.hull(session, ["Al", "Cu"], method="0123")


async def test_the_command_for_a_missing_reference_is_that_of_an_engine_of_the_method(
    session: AsyncSession, owner: User
) -> None:
    emt, pbe = await methods.store_(session, [Emt().method(), PBE])
    copper, silver, gold, _ = await stored(
        session, owner, metal("Cu"), metal("Ag"), metal("Au"), gas("H2O")
    )
    await calculated(session, owner, copper, emt, energy_ev_per_atom=-0.007)
    document, hull = await hulls.hull(session, ["Ag", "Au", "Cu", "Pt", "O"])
    assert hull is None
    commands = {one.element: one.command for one in document.missing}
    assert commands == {
        "Ag": f"nano-os jobs submit equation_of_state {silver} --engine emt",
        "Au": f"nano-os jobs submit equation_of_state {gold} --engine emt",
        "O": None,
        "Pt": None,
    }
    advice = {one.element: one.advice for one in document.missing}
    assert "Bring in a crystal of Pt" in advice["Pt"]
    assert "Calculate O by itself with ASE EMT" in advice["O"]
    assert document.entries[0].energy_above_hull_ev_per_atom is None
    await calculated(session, owner, silver, pbe, energy_ev_per_atom=-2.7)
    document, _ = await hulls.hull(session, ["Ag", "Au"])  # EMT would not go with PBE
    (gold_,) = document.missing
    assert gold_.command is None
    assert "Calculate Au by itself with VASP PBE, 520 eV" in gold_.advice


async def test_mixtures_on_one_lattice_are_compounds_of_their_own(
    session: AsyncSession, owner: User
) -> None:
    """A protostructure says which elements share a site, not how much of each."""
    (pbe,) = await methods.store_(session, [PBE])
    shares = (0.25, 0.5)
    lattice = bulk("Cu").cell.array
    mixed = [
        Structure(lattice, [[0.0] * 3], (Species("m", ("Au", "Cu"), (x, 1 - x)),), ("m",))
        for x in shares
    ]
    ids = await stored(session, owner, metal("Au"), metal("Cu"), *mixed)
    for id_ in ids:
        await calculated(session, owner, id_, pbe, energy_ev_per_atom=-3.0)
    document, _ = await hulls.hull(session, ["Au", "Cu"])
    assert [one.reduced_formula for one in document.entries] == ["Au", "AuCu", "AuCu3", "Cu"]
    assert all(one.is_stable for one in document.entries)


async def test_what_others_calculated_is_not_seen(session: AsyncSession, owner: User) -> None:
    (pbe,) = await methods.store_(session, [PBE])
    ids = await alloys(session, owner, pbe)
    stranger = await person(session, "eve")
    await calculated(session, stranger, ids["AlCu"], pbe, energy_ev_per_atom=-9.0)
    document, _ = await hulls.hull(session, ["Al", "Cu"])
    assert min(one.energy_ev_per_atom for one in document.entries) == -4


async def test_the_best_known_structure_of_each_material(
    session: AsyncSession, owner: User
) -> None:
    (pbe,) = await methods.store_(session, [PBE])
    ids = await alloys(session, owner, pbe)
    (other,) = await stored(session, owner, metal("Cu", cells=2, a=3.7))
    await calculated(session, owner, other, pbe, energy_ev_per_atom=-3.95)
    moving = {"task": "molecular_dynamics"}
    await calculated(session, owner, other, pbe, energy_ev_per_atom=-8, parameters=moving)
    found = await energies.best_known(session, Query.model_validate({}))
    assert [(one.reduced_formula, one.structure_id, one.results) for one in found.materials] == [
        ("Al", ids["Al"], 1),
        ("AlCu", ids["AlCu"], 1),
        ("Cu", other, 2),
    ]
    assert [one.name for one in found.methods] == ["VASP PBE, 520 eV"]


async def test_a_material_of_several_methods_is_refused_alone(
    session: AsyncSession, owner: User
) -> None:
    pbe, lda = await methods.store_(session, [PBE, LDA])
    ids = await alloys(session, owner, pbe)
    await calculated(session, owner, ids["Cu"], lda, energy_ev_per_atom=-4.5)
    everything = Query.model_validate({})
    found = await energies.best_known(session, everything)
    assert [one.reduced_formula for one in found.materials] == ["Al", "AlCu"]
    (refused,) = found.refused
    assert refused.reduced_formula == "Cu"
    assert sorted(refused.choices) == sorted(
        f"{hash_[: methods.SHORT]} VASP {name}, 520 eV, results: 1"
        for hash_, name in ((pbe, "PBE"), (lda, "LDA"))
    )
    chosen = await energies.best_known(session, everything, method=lda)
    assert [(one.reduced_formula, one.energy_ev_per_atom) for one in chosen.materials] == [
        ("Cu", -4.5)
    ]
    mixed = await energies.best_known(session, everything, mix=True)
    assert (len(mixed.materials), mixed.refused) == (3, [])

    def wanted(**others: object) -> Query:
        return Query.model_validate({"quantities": {"energy_ev_per_atom": ":0"}} | others)

    assert (await search.count(session, wanted(elements="Al"))).number == 2
    with pytest.raises(MixedMethods, match="LDA, 520 eV, results: 1"):
        await search.count(session, wanted())
