"""Tags, publishing and deleting, as their user types them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from samples import compound, metal, solid_solution

from nanoos.writers import write

if TYPE_CHECKING:
    from conftest import Invoke, Start

ALL = ("copper", "gold", "salt", "mixed")


@pytest.fixture
def ids(invoke: Invoke, tmp_path: Path) -> dict[str, str]:
    """Four structures by name; the salt's file states a licence and a publication."""
    folder = tmp_path / "crystals"
    folder.mkdir()
    structures = {
        "copper": metal("Cu"),
        "gold": metal("Au"),
        "salt": compound("NaCl"),
        "mixed": solid_solution(),
    }
    for name, structure in structures.items():
        (folder / f"{name}.cif").write_text(write([structure], "cif"))
    invoke("structures", "import", folder)
    rows = invoke("structures", "list", "--json").json["structures"]
    return {row["source_name"].removesuffix(".cif"): row["id"] for row in rows}


def found(invoke: Invoke, *filters: str) -> list[dict[str, Any]]:
    return invoke("structures", "search", *filters, "--json").json["structures"]


def rows_of(invoke: Invoke, table: str) -> int:
    (row,) = invoke("db", "sql", f"SELECT count(*) FROM {table}", "--json").json
    return row["count"]


def test_tags(invoke: Invoke, ids: dict[str, str]) -> None:
    tag = ("structures", "tag", "--json")
    both = invoke(*tag, ids["copper"], ids["gold"], "--add", "metal", "--add", "soft").json
    assert both == {"changed": 2, "existing": 0}
    again = invoke(*tag, "--any-of", "Cu,Au", "--add", "soft", "--remove", "metal").json
    assert again == {"changed": 3, "existing": 0}  # the solid solution too
    assert invoke(*tag, ids["gold"], "--add", "soft").json == {"changed": 0, "existing": 1}
    soft = {row["id"]: row["tags"] for row in found(invoke, "--tag", "soft")}
    assert soft == {ids[name]: ["soft"] for name in ("copper", "gold", "mixed")}
    told = invoke("structures", "tag", "--all", "--remove", "soft").stdout
    assert told == "3 changed, 1 already so\n"


@pytest.mark.slow
def test_tags_that_make_no_sense(invoke: Invoke, ids: dict[str, str]) -> None:
    tag = ("structures", "tag")
    assert "by their ids" in invoke(*tag, "--add", "x", exits=2).stderr
    assert "by their ids" in invoke(*tag, ids["gold"], "--all", "--add", "x", exits=2).stderr
    assert "Say which tags" in invoke(*tag, ids["gold"], exits=2).stderr
    assert (
        "both added and removed"
        in invoke(*tag, ids["gold"], "--add", "x", "--remove", "x", exits=2).stderr
    )
    for wrong in ("", " x", "a,b", "a\nb"):
        assert "is no tag" in invoke(*tag, ids["gold"], "--add", wrong, exits=2).stderr
    unknown = str(uuid4())
    assert unknown in invoke(*tag, ids["gold"], unknown, "--add", "x", exits=1).stderr
    assert not found(invoke, "--tag", "x")


@pytest.mark.slow
def test_publishing_needs_a_licence(invoke: Invoke, ids: dict[str, str]) -> None:
    publish = ("structures", "publish", ids["copper"], ids["gold"])
    refused = invoke(*publish, exits=2).stderr
    assert "--licence" in refused
    assert ids["copper"] in refused
    said = invoke(*publish, "--licence", "CC BY", exits=2).stderr
    assert "Did you mean CC-BY-4.0?" in said
    assert not found(invoke, "--visibility", "public")

    would = invoke(*publish, "--licence", "cc-by-4.0", "--dry-run", "--json").json
    assert would == {"published": 2, "existing": 0, "twins": []}
    assert not found(invoke, "--visibility", "public")
    assert invoke(*publish, "--licence", "cc-by-4.0", "--json").json == would
    public = {row["id"]: row["licence"] for row in found(invoke, "--visibility", "public")}
    assert public == {ids["copper"]: "CC-BY-4.0", ids["gold"]: "CC-BY-4.0"}
    again = invoke(*publish, "--licence", "CC0-1.0", "--json").json
    assert again == {"published": 0, "existing": 2, "twins": []}
    assert found(invoke, "--with-licence", "CC-BY-4.0")  # it is not given another one


@pytest.mark.slow
def test_a_structure_that_is_public_already_stays_private(
    invoke: Invoke, ids: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "same.cif").write_text(write([metal("Cu")], "cif"))
    invoke("structures", "import", tmp_path / "same.cif", "--public", "--licence", "CC0-1.0")
    (public,) = found(invoke, "--visibility", "public")
    report = invoke("structures", "publish", "--all", "--licence", "CC0-1.0", "--json").json
    assert report == {
        "published": 3,
        "existing": 1,
        "twins": [{"id": ids["copper"], "public_id": public["id"]}],
    }
    assert [row["id"] for row in found(invoke, "--visibility", "private")] == [ids["copper"]]
    told = invoke("structures", "publish", ids["copper"], "--licence", "CC0-1.0").stderr
    assert f"{ids['copper']} stays private: {public['id']} is the same" in " ".join(told.split())


@pytest.mark.slow
def test_published_structures_share_one_material(invoke: Invoke, tmp_path: Path) -> None:
    for name, a in (("one", 5.6), ("two", 5.65)):
        (tmp_path / f"{name}.cif").write_text(write([compound("NaCl", a=a)], "cif"))
        invoke("structures", "import", tmp_path / f"{name}.cif")
    one, two = found(invoke)
    materials = "SELECT visibility, count(*) FROM materials GROUP BY 1 ORDER BY 1"
    for id_, left in ((one["id"], {"private": 1, "public": 1}), (two["id"], {"public": 1})):
        invoke("structures", "publish", id_, "--licence", "CC0-1.0")
        rows = invoke("db", "sql", materials, "--json").json
        assert {row["visibility"]: row["count"] for row in rows} == left
    invoke("db", "verify")  # and so hold the invariants


@pytest.mark.slow
def test_deleting_what_nothing_rests_on(invoke: Invoke, ids: dict[str, str]) -> None:
    invoke("embed", "run")
    assert "Nobody can be asked" in invoke("structures", "delete", ids["gold"], exits=2).stderr
    planned = invoke("structures", "delete", ids["gold"], "--dry-run", "--json").json
    assert planned["structures"] == [ids["gold"]]
    assert len(found(invoke)) == 4
    done = invoke("structures", "delete", ids["gold"], "--yes", "--json").json
    assert done["materials"] == 1
    assert ids["gold"] not in {row["id"] for row in found(invoke)}
    assert rows_of(invoke, "vector_embeddings") == 3
    assert invoke("structures", "delete", ids["gold"], "--yes", exits=1)
    assert invoke("structures", "delete", "--all", "--yes").stdout == "3 deleted\n"
    assert not rows_of(invoke, "structures") + rows_of(invoke, "materials")


def test_deleting_what_is_public_says_what_follows(invoke: Invoke, ids: dict[str, str]) -> None:
    delete = ("structures", "delete", ids["copper"], ids["gold"], "--dry-run")
    assert "public" not in invoke(*delete).stdout
    invoke("structures", "publish", ids["copper"], "--licence", "CC0-1.0")
    told = invoke(*delete).stdout
    assert "2 structures to be deleted\n1 of them public: no longer to be read by anyone" in told
    assert invoke(*delete, "--json").json["public"] == 1
    assert "1 of them public" in invoke(*delete[:-1], "--yes").stderr


@pytest.fixture
def computed(invoke: Invoke, start: Start, ids: dict[str, str]) -> dict[str, str]:
    """Copper has a job, with a result and the structure that it made."""
    quick = ("--param", "points_per_side=2")
    invoke("jobs", "submit", "equation_of_state", ids["copper"], *quick)
    assert start("worker", "--drain").end() == 0
    return ids


def test_deleting_what_results_rest_on(invoke: Invoke, computed: dict[str, str]) -> None:
    copper = ("structures", "delete", computed["copper"])
    refused = invoke(*copper, "--yes", exits=1).stderr
    assert "1 structure, 1 job, 1 result rest on" in refused
    assert "equation_of_state, succeeded" in refused
    assert len(found(invoke)) == 5

    done = invoke(*copper, "--cascade", "--yes", "--json").json
    assert [one["kind"] for one in done["dependents"]] == ["structure", "job", "result"]
    assert {row["id"] for row in found(invoke)} == {
        computed[name] for name in ("gold", "salt", "mixed")
    }
    assert not rows_of(invoke, "simulation_jobs") + rows_of(invoke, "simulation_results")


def test_one_job_rests_on_what_is_deleted(invoke: Invoke, ids: dict[str, str]) -> None:
    invoke("jobs", "submit", "equation_of_state", ids["copper"])
    said = invoke("structures", "delete", ids["copper"], "--yes", exits=1).stderr
    assert "1 job rests on what is to be deleted" in said
    assert "With --cascade it is deleted too." in said


def test_deleting_the_result_alone(invoke: Invoke, computed: dict[str, str]) -> None:
    """Its job goes with it, so that it can be asked for again."""
    (relaxed,) = (row["id"] for row in found(invoke) if row["origin"] == "relaxed")
    assert (
        "1 job, 1 result rest on"
        in invoke("structures", "delete", relaxed, "--yes", exits=1).stderr
    )
    invoke("structures", "delete", relaxed, "--cascade", "--yes")
    submit = ("jobs", "submit", "equation_of_state", computed["copper"], "--json")
    assert len(invoke(*submit, "--param", "points_per_side=2").json["submitted"]) == 1


def test_parents_and_children_go_together(invoke: Invoke, computed: dict[str, str]) -> None:
    invoke("structures", "delete", "--all", "--cascade", "--yes")
    assert not found(invoke)
