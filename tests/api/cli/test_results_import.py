"""``nano-os results import`` and what is seen of the runs afterwards, on real output."""

from __future__ import annotations

import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import pytest

Cli = Callable[..., Any]
RUNS = Path(__file__).parents[2] / "fixtures" / "runs"
TAKEN = (
    "espresso/relax",
    "espresso/scf",
    "espresso/time_limit",
    "espresso/unconverged",
    "vasp/relaxed",
    "vasp/crashed",
)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A folder with runs, with a copy of one of them, and with what is none."""
    folder = tmp_path / "old"
    for name in TAKEN:
        shutil.copytree(RUNS / name, folder / name)
    shutil.copytree(RUNS / "espresso/scf", folder / "copies" / "of scf")
    (folder / "notes.txt").write_text("nothing")
    (folder / "broken").symlink_to("nowhere")
    return folder


def sql(cli: Cli, query: str) -> list[list[str]]:
    lines = cli("db", "sql", "-t", query).stdout.splitlines()
    return [[cell.strip() for cell in line.split("|")] for line in lines if line.strip()]


@pytest.mark.slow
def test_old_folders_come_in_once_with_all_that_they_tell(
    cli: Cli, old: Path, tmp_path: Path, home: Path
) -> None:
    said = cli("results", "import", old, "--project", "silicon", "--json", exits=1).json
    assert (said["imported"], said["existing"], said["folders"]) == (6, 1, 8)
    assert [Path(one["file"]).name for one in said["failed"]] == ["broken"]

    (old / "broken").unlink()
    (old / "espresso" / "scf").rename(old / "renamed")
    again = cli("results", "import", old, "--workers", 1, "--json").json
    assert (again["imported"], again["existing"], again["failed"]) == (0, 7, [])
    with tarfile.open(tmp_path / "old.tar.gz", "w:gz") as archive:
        archive.add(old, "old")
    packed = cli("results", "import", tmp_path / "old.tar.gz", "--json").json
    assert (packed["imported"], packed["existing"]) == (0, 7)

    report = cli("results", "report", "--project", "silicon", "--json").json
    endings = {one["ending"]: one["runs"] for one in report["endings"]}
    assert endings["stopped at its time limit"] == endings["crashed"] == 1
    assert report["runs"] == 6
    assert report["core_hours"] > 0
    causes = {one["source_name"]: one["cause"] for one in report["unconverged"]}
    assert "time" in causes["old/espresso/time_limit"]
    page = tmp_path / "report.html"
    cli("results", "report", "-o", page)
    assert "stopped at its time limit" in page.read_text()
    assert "There are: silicon" in cli("results", "report", "--project", "other", exits=1).stderr

    (id_,) = next(
        iter(
            sql(
                cli,
                "SELECT simulation_job_id FROM simulation_results "
                "JOIN simulation_jobs j ON j.id = simulation_job_id "
                "WHERE source_name = 'old/espresso/relax'",
            )
        )
    )
    shown = cli("results", "show", id_, "--json").json
    provenance = cli("results", "show", id_, "--provenance", "--json").json
    assert shown["project"] == "silicon"
    assert shown["output_structure_id"] != shown["structure_id"]
    assert provenance["source_name"] == "old/espresso/relax"
    assert {name.rpartition("/")[2] for name in provenance["files"]} >= {"pw.out.xz"}
    assert "pw.out.xz" in cli("results", "show", id_, "--provenance").stdout

    (steps,) = shown["artifacts"]
    cli("artifacts", "get", steps["sha256"], "-o", tmp_path / steps["name"])
    frames = ase.io.read(tmp_path / steps["name"], ":")
    assert len(frames) == steps["steps"] > 1
    assert frames[-1].get_potential_energy() == shown["quantities"]["energy_ev"]

    final = cli("structures", "show", shown["output_structure_id"], "--json").json
    assert (final["origin"], final["parent_id"]) == ("relaxed", shown["structure_id"])
    assert cli("artifacts", "verify", "--json").json["problems"] == []
    cli("structures", "delete", "--elements", "Si", "--cascade", "--yes")
    assert cli("artifacts", "list", "--json").json["artifacts"] == []
    said = cli("artifacts", "get", steps["sha256"], "-o", tmp_path / "no", exits=1).stderr
    assert "No result of yours" in said
    assert cli("artifacts", "gc", "--json").json["unwanted"] == []  # of an import under way, maybe
    for option in ([], ["--delete"]):
        unwanted = cli("artifacts", "gc", "--older-than", 0, *option, "--json").json["unwanted"]
        assert steps["sha256"] in {one["sha256"] for one in unwanted}
    assert cli("artifacts", "gc", "--older-than", 0, "--json").json["unwanted"] == []


@pytest.mark.slow
def test_where_there_is_no_run_that_is_said(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("nothing")
    said = cli("results", "import", tmp_path / "empty", exits=1).stderr
    assert "No runs" in said
    assert "--licence" in cli("results", "import", ".", "--public", exits=2).stderr
    cli("results", "import", tmp_path / "nowhere", exits=2)


@pytest.mark.slow
def test_a_lost_artifact_comes_back_and_a_touched_log_is_nothing_new(
    invoke: Cli, tmp_path: Path, home: Path
) -> None:
    folder = tmp_path / "relaxed"
    shutil.copytree(RUNS / "vasp/relaxed", folder)
    first = invoke("results", "import", folder, "--project", "mine", "--json").json
    assert first["imported"] == 1
    (folder / "slurm-1.out").write_text("running on 4 total cores\n")
    (lost,) = (home / "artifacts").glob("??/*")
    lost.unlink()
    assert invoke("artifacts", "verify", exits=1)
    again = invoke("results", "import", folder, "--json").json
    assert (again["imported"], again["existing"]) == (0, 1)
    assert invoke("artifacts", "verify", "--json").json["problems"] == []

    project = "SELECT project FROM simulation_jobs"
    assert sql(invoke, project) == [["mine"]]
    invoke("results", "import", folder, "--project", "ours")
    assert sql(invoke, project) == [["ours"]]


def test_of_broken_archives_whole_runs_go_in_and_the_others_are_named(
    invoke: Cli, tmp_path: Path, home: Path
) -> None:
    cut, damaged = tmp_path / "cut.tar", tmp_path / "damaged.zip"
    with tarfile.open(cut, "w") as archive:
        for name in ("espresso/scf", "vasp/relaxed", "espresso/gamma"):
            archive.add(RUNS / name, name)
    whole = cut.read_bytes()
    at = whole.index(b"vasp/relaxed/vasprun.xml")  # after OUTCAR, which is a run by itself
    cut.write_bytes(whole[: at + 2000])
    with zipfile.ZipFile(damaged, "w") as archive:
        for name in ("smearing/pw.in.xz", "smearing/pw.out.xz", "steps_exhausted/pw.out.xz"):
            archive.write(RUNS / "espresso" / name, name)
    content = bytearray(damaged.read_bytes())
    content[content.index(b"smearing/pw.in.xz") + 40] ^= 255
    damaged.write_bytes(content)

    said = invoke("results", "import", cut, damaged, "--json", exits=1).json
    assert (said["imported"], said["without_run"]) == (2, 0)
    failed = {Path(one["file"]).name: one["error"] for one in said["failed"]}
    assert set(failed) == {"cut.tar", "relaxed", "smearing"}
    assert "files may be missing. The tar archive is damaged" in failed["relaxed"]
    assert "Bad CRC-32 for file 'smearing/pw.in.xz'" in failed["smearing"]
    cut.write_bytes(whole)
    said = invoke("results", "import", cut, "--json").json
    assert (said["imported"], said["existing"]) == (2, 1)


def test_what_a_database_says_beside_the_energy_is_shown(
    invoke: Cli, tmp_path: Path, home: Path
) -> None:
    entry = json.loads((RUNS.parent / "formats/pymatgen/entries.json").read_text())[0]
    (tmp_path / "mp.json").write_text(json.dumps(entry | {"correction": -4.1}))
    invoke("results", "import", tmp_path / "mp.json")
    (id_,) = sql(invoke, "SELECT id FROM simulation_results")[0]
    shown = invoke("results", "show", id_, "--provenance", "--json").json
    assert shown["extra"]["correction_ev"] == -4.1
    assert "-4.1" in invoke("results", "show", id_, "--provenance").stdout
