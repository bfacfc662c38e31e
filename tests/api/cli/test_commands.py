"""The commands in the order a user needs them, by the documents they print."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from samples import compound, gas, metal

from api.schemas.search import StructureRow
from nanoos.structures import Structure
from nanoos.writers import write

if TYPE_CHECKING:
    from conftest import Invoke

BROKEN = Path(__file__).parents[2] / "fixtures" / "broken"


def save(folder: Path, **structures: Structure) -> Path:
    folder.mkdir(exist_ok=True)
    for name, structure in structures.items():
        (folder / f"{name}.cif").write_text(write([structure], "cif"))
    return folder


@pytest.fixture
def crystals(tmp_path: Path) -> Path:
    """A folder of two metals that the engine knows and two salts that it does not."""
    return save(
        tmp_path / "crystals",
        copper=metal("Cu"),
        gold=metal("Au"),
        salt=compound("NaCl"),
        periclase=compound("MgO", a=4.2),
    )


@pytest.fixture
def ids(invoke: Invoke, crystals: Path) -> dict[str, UUID]:
    """The ids of these, imported, by their formula."""
    invoke("structures", "import", crystals)
    rows = invoke("structures", "list", "--json").json["structures"]
    return {row["reduced_formula"]: UUID(row["id"]) for row in rows}


@pytest.mark.slow
def test_import_counts_what_is_new(invoke: Invoke, crystals: Path) -> None:
    first = invoke("structures", "import", crystals, "--json").json
    assert first == {"imported": 4, "existing": 0, "failed": []}
    again = invoke("structures", "import", crystals, crystals / "gold.cif", "--json").json
    assert again == {"imported": 0, "existing": 5, "failed": []}
    gold = ("structures", "import", crystals / "gold.cif", "--public", "--json")
    (refused,) = invoke(*gold, exits=1).json["failed"]
    assert "--licence" in refused["error"]
    public = invoke(*gold, "--licence", "CC0-1.0").json
    assert public["imported"] == 1
    listed = invoke("structures", "list", "--json").json["structures"]
    assert [row["visibility"] for row in listed].count("public") == 1


@pytest.mark.slow
def test_import_looks_into_folders_as_deep_as_asked(invoke: Invoke, crystals: Path) -> None:
    save(crystals / "deep", silver=metal("Ag"))
    (crystals / ".hidden.cif").write_text("not for us")
    shallow = invoke("structures", "import", crystals, "--json").json
    assert shallow == {"imported": 4, "existing": 0, "failed": []}
    deep = invoke("structures", "import", crystals, "--recursive", "--json").json
    assert deep == {"imported": 1, "existing": 4, "failed": []}


def test_import_of_an_empty_folder_is_said(invoke: Invoke, tmp_path: Path) -> None:
    answer = invoke("structures", "import", tmp_path, "--json", exits=1)
    assert answer.json == {"imported": 0, "existing": 0, "failed": []}
    assert f"No files in {tmp_path}" in answer.stderr


@pytest.mark.slow
def test_broken_files_do_not_keep_the_good_ones_out(
    invoke: Invoke, crystals: Path, tmp_path: Path
) -> None:
    for file in BROKEN.iterdir():
        shutil.copy(file, crystals)
    broken = {file.name for file in BROKEN.iterdir()}
    (crystals / "zinc.cif").write_text(write([metal("Zn")], "cif"))  # after the broken ones
    report = invoke("structures", "import", crystals, "--json", exits=1).json
    assert report["imported"] == 6  # with the first frame of the one whose second is cut short
    assert {Path(one["file"]).name for one in report["failed"]} == broken
    for one in report["failed"]:
        assert one["error"]
        assert set(one) <= {"file", "error", "line"}
        assert one.get("line", 1) >= 1
    told = invoke("structures", "import", crystals, exits=1).stderr
    assert all(name in told for name in broken)


def test_a_structure_is_shown_in_full(invoke: Invoke, ids: dict[str, UUID]) -> None:
    shown = invoke("structures", "show", ids["ClNa"], "--json").json
    assert shown["id"] == str(ids["ClNa"])
    assert shown["space_group_number_at_0_1"] == 225
    assert shown["space_group_symbol_at_0_1"] == "Fm-3m"
    assert set(StructureRow.model_fields) <= set(shown)
    assert (shown["source_name"], shown["source_format"]) == ("salt.cif", "cif")
    assert len(shown["lattice_a"]) == 3
    told = invoke("structures", "show", ids["ClNa"]).stdout
    assert "Fm-3m" in told
    assert all(line == line.rstrip() for line in told.splitlines())


@pytest.mark.parametrize("format_", ["cif", "extxyz", "poscar"])
def test_what_is_exported_is_imported_as_the_same(
    invoke: Invoke, ids: dict[str, UUID], tmp_path: Path, format_: str
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    invoke("structures", "export", "--all", "--format", format_, "-o", folder)
    assert len(list(folder.iterdir())) == len(ids)
    again = invoke("structures", "import", folder, "--json").json
    assert again == {"imported": 0, "existing": len(ids), "failed": []}


@pytest.mark.slow
def test_submission_prints_what_it_did(invoke: Invoke, ids: dict[str, UUID]) -> None:
    eos = ("jobs", "submit", "equation_of_state")
    first = invoke(*eos, ids["Cu"], "--param", "points_per_side=2", "--json").json
    assert len(first.pop("submitted")) == 1
    assert first == {"existing": [], "skipped": 0, "reasons": []}
    every = invoke(*eos, "--all", "--param", "points_per_side=2", "--engine", "emt", "--json").json
    assert (len(every["submitted"]), len(every["existing"])) == (1, 1)
    assert every["skipped"] == 2
    assert {one["example"] for one in every["reasons"]} == {str(ids["ClNa"]), str(ids["MgO"])}
    assert all((one["structures"], one["reason"][:4]) == (1, "EMT ") for one in every["reasons"])
    again = invoke(*eos, "--all", "--param", "points_per_side=2")
    assert again.stdout == ""
    assert "0 submitted, 2 already there, 2 skipped" in again.stderr
    assert "  1: EMT knows" in again.stderr
    jobs = invoke("jobs", "list", "--json").json["jobs"]
    assert [job["status"] for job in jobs] == ["queued", "queued"]
    job = invoke("jobs", "show", jobs[0]["id"], "--json").json
    assert job["parameters"]["points_per_side"] == 2
    assert invoke("jobs", "list", "--status", "failed", "--json").json == {"jobs": []}
    assert "queued" in invoke("jobs", "list").stdout


def test_named_structures_are_submitted_all_or_none(invoke: Invoke, ids: dict[str, UUID]) -> None:
    answer = invoke("jobs", "submit", "equation_of_state", ids["Cu"], ids["MgO"], exits=1)
    assert f"{ids['MgO']}: EMT knows" in answer.stderr
    assert invoke("jobs", "list", "--json").json == {"jobs": []}


def test_from_files_to_results_and_neighbours(
    invoke: Invoke, ids: dict[str, UUID], start: Any
) -> None:
    eos = ("jobs", "submit", "equation_of_state", "--all", "--param", "points_per_side=2")
    jobs = invoke(*eos, "--json").json["submitted"]
    assert start("worker", "--drain").end() == 0
    result = invoke("results", "show", jobs[0], "--json").json
    assert result["quantities"]["bulk_modulus_gpa"] > 0
    assert result["provenance"]["engine"] == "emt"
    assert invoke("results", "show", result["id"], "--json").json == result
    assert "bulk_modulus_gpa" in invoke("results", "show", jobs[0]).stdout
    assert invoke(*eos, "--json").json["existing"] == jobs

    embedded = invoke("embed", "run", "--json").json
    assert (embedded["embedded"], embedded["failed"]) == (6, [])
    near = invoke("structures", "similar", ids["ClNa"], "-k", "2", "--json").json["structures"]
    assert near[0]["id"] == str(ids["MgO"])
    assert len(near) == 2
    assert "MgO" in invoke("structures", "similar", ids["ClNa"]).stdout
    assert invoke("embed", "run", "--json").json["embedded"] == 0


def test_a_molecule_that_cannot_be_embedded_is_no_failure(
    invoke: Invoke, tmp_path: Path, crystals: Path
) -> None:
    (crystals / "water.xyz").write_text(write([gas("H2O")], "extxyz"))
    invoke("structures", "import", crystals)
    report = invoke("embed", "run", "--json").json
    assert report["embedded"] == 4
    ((failed),) = report["failed"]
    assert set(failed) == {"id", "reason"}
    invoke("structures", "similar", failed["id"], exits=1)


def test_workflows_are_described(invoke: Invoke) -> None:
    listed = invoke("workflows", "list", "--json").json["workflows"]
    assert ("equation_of_state", 1) in {(one["name"], one["version"]) for one in listed}
    shown = invoke("workflows", "show", "equation_of_state", "--json").json
    assert shown["defaults"] == {"volume_range": 0.06, "points_per_side": 3}
    assert set(shown["parameters_schema"]["properties"]) == set(shown["defaults"])
    assert "--param" in invoke("workflows", "show", "equation_of_state").stdout


def test_engines_are_described(invoke: Invoke) -> None:
    listed = {one["name"]: one for one in invoke("engines", "list", "--json").json["engines"]}
    assert listed["emt"]["unavailable"] is None
    assert listed["emt"]["properties"]["stress"] == "GPa"
    shown = invoke("engines", "show", "lj", "--json").json
    assert shown == listed["lj"]
    assert "sigma_a" in shown["parameters_schema"]["properties"]
    assert "--engine-param" in invoke("engines", "show", "lj").stdout
    assert "emt" in invoke("engines", "show", "oracle", exits=2).stderr


def test_an_account_is_made_once(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NANO_OS_PASSWORD", "correct horse battery")
    rita = ("users", "create", "rita", "--email", "rita@example.org")
    made = invoke(*rita, "--json")
    assert set(made.json) == {"id", "username", "email"}
    again = invoke(*rita, exits=1)
    for answer in (made, again):
        assert "horse" not in answer.stdout + answer.stderr
    monkeypatch.setenv("NANO_OS_PASSWORD", "horse")
    short = invoke("users", "create", "hugo", "--email", "hugo@example.org", exits=2)
    assert "12 characters" in short.stderr
    assert "horse" not in short.stderr


@pytest.mark.slow
def test_names_with_brackets_are_shown_as_they_are(
    invoke: Invoke, tmp_path: Path, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are no markup of ours, whoever chose them."""
    file = tmp_path / "[red].extxyz"
    file.write_text(write([metal("Cu")], "extxyz", [{"name": "[/red]"}]))
    invoke("structures", "import", file)
    (row,) = invoke("structures", "list", "--json").json["structures"]
    for command in (
        ("structures", "list"),
        ("structures", "show", row["id"]),
        ("structures", "export", row["id"], "-o", tmp_path / "[bold]copper.cif"),
    ):
        invoke(*command)
    jobs = invoke("jobs", "submit", "equation_of_state", row["id"], "--json").json["submitted"]
    assert "[/red]" in invoke("jobs", "list").stdout
    worker = start("worker", "--drain")
    assert worker.end() == 0
    assert "[/red]" in worker.output()
    assert "[/red]" in invoke("results", "show", jobs[0]).stdout
    monkeypatch.setenv("NANO_OS_PASSWORD", "correct horse battery")
    made = invoke("users", "create", "[/]rita", "--email", "rita@example.org")
    assert "[/]rita" in made.stdout


HELP = ["structures import", "structures search", "jobs submit", "db backup", "users create"]


@pytest.mark.parametrize("command", HELP)
def test_help_speaks_of_no_types_of_python(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    shown = invoke(*command.split(), "--help").stdout
    assert not re.search(r"<\w|list\[|\[\[|\{[a-z]", shown), shown


def test_the_result_is_on_stdout_and_what_failed_is_not(invoke: Invoke, crystals: Path) -> None:
    (crystals / "broken.cif").write_text("data_x\n_cell_length_a 1\n")
    done = invoke("structures", "import", crystals, exits=1)
    assert done.stdout == "4 imported, 0 already there, 1 failed\n"
    assert "broken.cif" in done.stderr


def test_a_refused_value_is_said_with_its_option(invoke: Invoke, crystals: Path) -> None:
    crystal = ("structures", "import", crystals)
    for arguments in (
        (*crystal, "--format", "docx"),
        (*crystal, "--tag", "a,b"),
        (*crystal, "--licence", "CC BY"),
        ("structures", "export", "--all", "-o", "a.cif", "--format", "docx"),
        ("jobs", "submit", "equation_of_state", "--all", "--engine", "oracle"),
        ("jobs", "list", "--status", "done"),
        ("embed", "run", "--model", "palm"),
    ):
        assert f"Error: {arguments[-2]}" in invoke(*arguments, exits=2).stderr
