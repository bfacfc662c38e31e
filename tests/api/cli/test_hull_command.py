"""nano-os hull, results best and results eos, as they are typed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest
from samples import calculated, compound, metal, stored
from sqlalchemy.ext.asyncio import AsyncSession

from api.cli.database import in_transaction
from api.models import User
from api.services import methods
from nanoos.methods import Method
from nanoos.structures import Structure
from nanoos.workflows.birch_murnaghan import BirchMurnaghan

if TYPE_CHECKING:
    from conftest import Invoke

PBE, LDA = (Method(code="VASP", functional=name, cutoff_ev=520.0) for name in ("PBE", "LDA"))
CURVE = BirchMurnaghan(-3.9, 12.0, 140.0, 5.0)


@pytest.fixture
def pbe(database: str) -> str:
    """The hash of the method of results for Al, AlCu in two structures, and Cu at five volumes."""
    return in_transaction(_store)


async def _store(session: AsyncSession, owner: User) -> str:
    volumes = [11.4, 11.7, 12.0, 12.3, 12.6]
    copper = [(metal("Cu", a=(4 * v) ** (1 / 3)), float(CURVE.energies_ev(v))) for v in volumes]
    runs = [
        *copper,
        (metal("Al"), -3.7),
        (compound("AlCu", "cesiumchloride", 3.0), -4.0),
        (compound("AlCu", "rocksalt", 5.0), -3.7),
    ]
    pbe, lda = await methods.store_(session, [PBE, LDA])
    ids = await stored(session, owner, *(crystal for crystal, _ in runs))
    for id_, (crystal, energy) in zip(ids, runs, strict=True):
        found = {"energy_ev_per_atom": energy, "volume_a3_per_atom": _volume_a3(crystal)}
        await calculated(session, owner, id_, pbe, **found)
    await calculated(session, owner, ids[-1], lda, energy_ev_per_atom=-5.0)
    return pbe


def _volume_a3(crystal: Structure) -> float:
    assert crystal.volume_a3 is not None
    return crystal.volume_a3 / crystal.n_sites


def words(svg: Path) -> str:
    return " ".join(ElementTree.fromstring(svg.read_text()).itertext())


@pytest.mark.slow
def test_what_follows_from_energies(pbe: str, invoke: Invoke, tmp_path: Path) -> None:
    refused = invoke("hull", "Cu-Al", exits=1)
    assert "functional: PBE and LDA" in refused.stderr
    one = "--method", pbe[:8]

    picture = tmp_path / "hull.svg"
    shown = invoke("hull", "cu,al", *one, "--plot", picture, "--json").json
    assert shown["chemical_system"] == "Al-Cu"
    assert shown["methods"] == [{"sha256": pbe, "name": "VASP PBE, 520 eV"}]
    assert [entry["is_stable"] for entry in shown["entries"]] == [True, True, False, True]
    assert shown["entries"][2]["energy_above_hull_ev_per_atom"] == pytest.approx(0.3)
    assert "AlCu +300" not in words(picture)  # of each composition the lowest is named
    assert "Al-Cu: VASP PBE, 520 eV" in words(picture)

    table = invoke("hull", "Al-Cu", *one)
    assert "300.0 1 AlCu" in " ".join(table.stdout.split())
    assert "3 stable, 1 unstable" in table.stderr
    assert "1 result of other methods: left out" in table.stderr
    assert "300.0" not in invoke("hull", "Al-Cu", *one, "--above", "0.1").stdout
    assert "Mixed" in invoke("hull", "Al-Cu", "--mix").stderr

    materials = invoke("results", "best", "Al-Cu", *one, "--json").json["materials"]
    assert [row["reduced_formula"] for row in materials] == ["Al", "AlCu", "AlCu", "Cu"]
    assert "12.000" in invoke("results", "best", *one).stdout

    curve = tmp_path / "eos.svg"
    (series,) = invoke("results", "eos", *one, "--plot", curve, "--json").json["series"]
    assert series["fit"]["bulk_modulus_gpa"] == pytest.approx(140, rel=1e-3)
    assert "V₀ = 12.00 Å³/atom" in words(curve)
    assert "140.0" in invoke("results", "eos", series["structure_ids"][0]).stdout


def test_missing_references_are_told_with_the_command(invoke: Invoke, tmp_path: Path) -> None:
    picture = tmp_path / "hull.svg"
    answer = invoke("hull", "Au-Po", "--plot", picture, exits=1)
    assert "There is no energy of Au by itself" in answer.stderr
    assert "Bring in a crystal of Au" in answer.stderr
    assert "Calculate Po by itself" in answer.stderr
    assert not picture.exists()
    assert len(invoke("hull", "Au-Po", "--json", exits=1).json["missing"]) == 2
    assert "five volumes" in invoke("results", "eos").stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["hull", "Al-Xx"], "'Xx' is no element"),
        (["hull", "-"], "Write a chemical system as Al-Cu"),
        (["hull", "Al-Cu", "--method", "zz"], "no hash of a method"),
        (["results", "best", "Q"], "is no element"),
        (["results", "eos", "--plot", "x.svg"], "0 are fitted"),
    ],
)
def test_what_is_refused(arguments: list[str], said: str, invoke: Invoke) -> None:
    assert said in invoke(*arguments, exits=2).stderr
