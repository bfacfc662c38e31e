"""What is there more than once, tier by tier, as its user asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from samples import compound, metal

from nanoos.structures import Structure
from nanoos.writers import write

if TYPE_CHECKING:
    from conftest import Invoke


def moved(structure: Structure, by_a: float) -> Structure:
    """The same with each site somewhere else, about so far."""
    noise = np.random.default_rng(7).normal(size=structure.positions_a.shape)
    noise *= by_a / np.linalg.norm(noise, axis=1).max()
    return Structure.of(
        structure.lattice_a, structure.positions_a + noise, list(structure.species_at_sites)
    )


@pytest.fixture
def folder(invoke: Invoke, tmp_path: Path) -> Path:
    """Copper three times, one a copy under another name; salt, salt nearly, and another salt."""
    files = tmp_path / "files"
    files.mkdir()
    copper = write([metal("Cu")], "cif")
    salt = compound("NaCl")
    for name, text in {
        "copper.cif": copper,
        "copy.cif": copper,
        "again.cif": f"# with a comment\n{copper}",
        "salt.cif": write([salt], "cif"),
        "measured.cif": write([moved(salt, 0.02)], "cif"),
        "periclase.cif": write([compound("MgO", a=4.2)], "cif"),
    }.items():
        (files / name).write_text(text)
    invoke("structures", "import", files)
    return files


def groups(invoke: Invoke, tier: str, *options: object) -> list[dict[str, Any]]:
    return invoke("structures", "duplicates", "--tier", tier, *options, "--json").json["groups"]


def test_how_many_there_are(invoke: Invoke, folder: Path) -> None:
    answer = invoke("structures", "duplicates", "--json").json
    assert answer == {
        "tiers": [
            {"tier": "file", "count": 1, "largest": 2},
            {"tier": "exact", "count": 1, "largest": 2},
            {"tier": "protostructure", "count": 1, "largest": 2},
        ]
    }
    assert "near" in invoke("structures", "duplicates").stderr


def test_one_file_under_two_names(invoke: Invoke, folder: Path) -> None:
    (group,) = groups(invoke, "file")
    assert group["size"] == 2
    names = [Path(member["source_name"]).name for member in group["members"]]
    assert names == ["copper.cif", "copy.cif"]


@pytest.mark.slow
def test_one_structure_at_several_places(invoke: Invoke, folder: Path) -> None:
    (group,) = groups(invoke, "exact")
    assert group["size"] == 2  # the copy is no other file
    assert {member["reduced_formula"] for member in group["members"]} == {"Cu"}
    (again,) = (m for m in group["members"] if m["source_name"].endswith("again.cif"))
    places = invoke("structures", "sources", again["id"], "--json").json["sources"]
    assert all(place["created_at"].endswith("Z") for place in places)
    assert sorted(Path(place["source_name"]).name for place in places) == [
        "again.cif",
        "copper.cif",
        "copy.cif",
    ]

    public = ("--public", "--licence", "CC0-1.0")
    invoke("structures", "import", folder / "salt.cif", *public)
    both = groups(invoke, "exact", "--formula", "NaCl")
    assert [sorted(m["visibility"] for m in group["members"]) for group in both] == [
        ["private", "public"]
    ]


def test_the_same_arrangement(invoke: Invoke, folder: Path) -> None:
    wider = folder / "wider.cif"
    wider.write_text(write([compound("NaCl", a=6.5)], "cif"))
    invoke("structures", "import", wider)
    (group,) = groups(invoke, "protostructure")
    assert group["key"].endswith(":Cl-Na")
    assert group["size"] == len(group["members"]) == 3
    shown = invoke("structures", "duplicates", "--tier", "protostructure").stdout
    assert "3 ×" in shown
    assert "wider.cif" in shown


@pytest.mark.slow
def test_pages_and_members(invoke: Invoke, folder: Path) -> None:
    for a in (6.5, 7.0, 7.5):
        file = folder / f"{a}.cif"
        file.write_text(write([compound("NaCl", a=a), compound("MgO", a=a)], "cif"))
        invoke("structures", "import", file)
    both = groups(invoke, "protostructure")
    assert [group["size"] for group in both] == [5, 4]
    pages = [groups(invoke, "protostructure", "--limit", 1, "--page", page)[0] for page in (1, 2)]
    assert pages == both
    (short, _) = groups(invoke, "protostructure", "--members", 2)
    assert (short["size"], short["members"]) == (5, both[0]["members"][:2])
    assert not groups(invoke, "protostructure", "--page", 2)
    told = invoke("structures", "duplicates", "--tier", "protostructure", "--limit", 1).stderr
    assert "2 groups, 1 shown" in told
    assert "--page 2" in told


@pytest.mark.slow
def test_near_duplicates_are_linked_and_never_merged(invoke: Invoke, folder: Path) -> None:
    near = ("structures", "duplicates", "--tier", "near", "--workers", 1, "--json")
    answer = invoke(*near).json
    ((pair,), (group,)) = answer["pairs"], answer["groups"]
    assert answer["compared"] == 2
    assert 0 < pair["rms_a"] <= pair["max_a"] <= 0.05
    assert {m["source_name"] for m in group["members"]} == {"salt.cif", "measured.cif"}
    assert answer["linked"] == 0

    stored = "SELECT model, model_version, distance FROM structure_similarities"
    for _ in range(2):  # the second time the same pair
        assert invoke(*near, "--link").json["linked"] == 1
        (row,) = invoke("db", "sql", stored, "--json").json
        assert (row["model"], row["model_version"]) == ("match", "1")
        assert row["distance"] == pytest.approx(pair["rms_a"])
    assert len(invoke("structures", "search", "--json").json["structures"]) == 4
    assert not invoke(*near, "--formula", "MgO").json["pairs"]


def test_wrong_usage(invoke: Invoke, folder: Path) -> None:
    duplicates = ("structures", "duplicates")
    assert "protostructure" in invoke(*duplicates, "--tier", "alike", exits=2).stderr
    assert "--tier near" in invoke(*duplicates, "--tier", "file", "--link", exits=2).stderr
    unknown = "00000000-0000-0000-0000-000000000000"
    assert unknown in invoke("structures", "sources", unknown, exits=1).stderr
