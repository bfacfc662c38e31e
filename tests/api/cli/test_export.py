"""Export as it is typed: any search, any format, to a file, a folder or a pipe."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from samples import compound, gas, metal, solid_solution

from nanoos.parsers import read
from nanoos.structures import fingerprint
from nanoos.writers import write

if TYPE_CHECKING:
    from conftest import Invoke

EXAMPLES = Path(__file__).parents[3] / "examples" / "crystals"


@pytest.fixture
def filled(invoke: Invoke, tmp_path: Path) -> Path:
    """A database with crystals, a solid solution and a molecule; the folder for what comes out."""
    source = tmp_path / "source"
    source.mkdir()
    for name, structure in {
        "copper": metal("Cu"),
        "salt": compound("NaCl"),
        "bronze": solid_solution(),
    }.items():
        (source / f"{name}.cif").write_text(write([structure], "cif"))
    (source / "water.xyz").write_text(write([gas()], "extxyz"))
    (source / "quartz.cif").write_bytes(next(EXAMPLES.glob("quartz*")).read_bytes())
    invoke("structures", "import", source)
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def test_format_is_that_of_the_name_and_what_has_no_place_is_named(
    invoke: Invoke, filled: Path
) -> None:
    for name, written in {
        "a.cif": 4,
        "a.xyz.zst": 4,
        "a.db": 4,
        "a.jsonl.gz": 5,
        "a.parquet": 5,
        "a.optimade.jsonl": 5,
    }.items():
        report = invoke("structures", "export", "--all", "-o", filled / name, "--json").json
        assert report["written"] == written
        assert len(report["skipped"]) == 5 - written
        assert {path.name for path in filled.iterdir()} == {name, "a.bib", "a.licences.csv"}
        (filled / name).unlink()


def test_filters_choose_what_is_written(invoke: Invoke, filled: Path) -> None:
    report = invoke(
        "structures", "export", "--elements", "O", "--ordered", "--periodic", "crystal",
        "-o", filled / "oxides.cif", "--json",
    ).json  # fmt: skip
    assert report == {"written": 1, "skipped": []}
    (quartz,) = read(filled / "oxides.cif")
    assert quartz.structure.elements == ("O", "Si")
    assert "@article{" in (filled / "oxides.bib").read_text()
    with (filled / "oxides.licences.csv").open() as table:
        (row,) = csv.DictReader(table)
    assert row["reduced_formula"] == "O2Si"
    assert row["licence"] == "not stated"


def test_standard_output_holds_the_structures_alone(invoke: Invoke, filled: Path) -> None:
    answer = invoke("structures", "export", "--formula", "Cu", "--format", "jsonl", "-o", "-")
    assert json.loads(answer.stdout)["reduced_formula"] == "Cu"
    assert "1 written to standard output" in answer.stderr
    assert list(filled.iterdir()) == []
    for arguments, says in (
        (("--all", "--format", "parquet"), "no text"),
        (("--all", "--format", "poscar"), "need a folder"),
        (("--all", "--json"), "cannot both"),
        (("--all", "--formula", "Cu"), "--all"),
    ):
        assert says in invoke("structures", "export", *arguments, "-o", "-", exits=2).stderr


def test_what_comes_along_and_what_is_skipped_is_named(invoke: Invoke, filled: Path) -> None:
    answer = invoke("structures", "export", "--all", "-o", filled / "a.xyz")
    assert "4 written" in answer.stdout
    assert "with a.bib and a.licences.csv, 1 skipped" in answer.stdout
    (mixed,) = invoke("structures", "list", "--disordered", "--json").json["structures"]
    assert f"{mixed['id']} {mixed['reduced_formula']}" in answer.stderr
    invoke("structures", "export", "--ordered", "--periodic", "3", "-o", filled / "b.vasp")
    assert (filled / "b.vasp").is_dir()
    assert (filled / "b.bib").exists()


def test_a_search_that_finds_nothing_writes_nothing(invoke: Invoke, filled: Path) -> None:
    said = invoke("structures", "export", "--formula", "Au", "-o", filled / "a.cif", exits=1).stderr
    assert "nothing was written" in said
    assert list(filled.iterdir()) == []


def test_where_the_format_has_a_place_for_nothing_nothing_is_written(
    invoke: Invoke, filled: Path
) -> None:
    what = ("structures", "export", "--disordered", "--json")
    said = invoke(*what, "-o", filled / "a.xyz", exits=1).stderr
    assert "Nothing was written: the format has no place for any of 1 (1: " in said
    assert list(filled.iterdir()) == []


def test_a_folder_that_has_files_is_added_to_only_when_told(invoke: Invoke, filled: Path) -> None:
    (filled / "mine.txt").write_text("of somebody")
    cubic = ("structures", "export", "--formula", "NaCl", "--format", "poscar", "-o", filled)
    assert "--add" in invoke(*cubic, exits=2).stderr
    assert [path.name for path in filled.iterdir()] == ["mine.txt"]
    invoke(*cubic, "--add")
    assert {path.suffix for path in filled.iterdir()} == {".txt", ".vasp"}


@pytest.mark.parametrize("name", ["POSCAR", "CONTCAR.gz", "poscar-halite"])
def test_names_of_vasp_say_their_format(invoke: Invoke, filled: Path, name: str) -> None:
    invoke("structures", "export", "--formula", "NaCl", "-o", filled / name)
    (halite,) = read(filled / name)
    assert halite.source_format == "poscar"
    assert halite.structure.n_sites == 2


@pytest.mark.parametrize(("name", "suffix"), [("b.traj", ".traj"), ("q.json.gz", ".json")])
def test_a_name_of_no_format_is_refused(
    invoke: Invoke, filled: Path, name: str, suffix: str
) -> None:
    said = invoke("structures", "export", "--all", "-o", filled / name, exits=2).stderr
    assert f"end in {suffix}." in said
    assert "--format: cif, poscar" in said
    assert list(filled.iterdir()) == []


@pytest.mark.parametrize("name", ["run-2.5", "plain", "plain.gz"])
def test_a_name_that_says_nothing_gets_a_cif(invoke: Invoke, filled: Path, name: str) -> None:
    invoke("structures", "export", "--all", "-o", filled / name, "--format", "cif")
    named = (filled / name).read_bytes()
    invoke("structures", "export", "--all", "-o", filled / name)
    assert (filled / name).read_bytes() == named


def test_named_structures_are_written_all_or_none(invoke: Invoke, filled: Path) -> None:
    rows = invoke("structures", "list", "--json").json["structures"]
    mixed = next(row["id"] for row in rows if not row["is_ordered"])
    ids = [row["id"] for row in rows]
    answer = invoke("structures", "export", *ids, "-o", filled / "all.xyz", exits=1)
    assert mixed in answer.stderr
    assert "disordered" in answer.stderr
    assert list(filled.iterdir()) == []


def test_no_sources_leaves_them_out(invoke: Invoke, filled: Path) -> None:
    invoke("structures", "export", "--all", "--no-sources", "-o", filled / "a.cif")
    assert [path.name for path in filled.iterdir()] == ["a.cif"]


@pytest.mark.slow
def test_who_reads_the_pipe_may_have_enough(invoke: Invoke, filled: Path) -> None:
    program = Path(sys.executable).with_name("nano-os")
    command = [program, "structures", "export", "--all", "--format", "jsonl", "-o", "-"]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "exits"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_export_leaves_nothing_half(
    start: Any, filled: Path, database: str, number: int, exits: int
) -> None:
    (filled / "a.cif").write_text("what stood there")
    with closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLE citations")  # so that it waits with its files open
        export = start("structures", "export", "--all", "-o", filled / "a.cif")
        while not any(path.name.startswith(".unfinished") for path in filled.iterdir()):
            assert export.is_running()
            time.sleep(0.05)
        export.send_signal(number)
        assert export.end() == exits
    assert [path.name for path in filled.iterdir()] == ["a.cif"]
    assert (filled / "a.cif").read_text() == "what stood there"


@pytest.mark.slow
def test_all_examples_come_back_with_their_fingerprints(invoke: Invoke, tmp_path: Path) -> None:
    invoke("structures", "import", EXAMPLES)
    before = {
        fingerprint(one.structure)
        for path in EXAMPLES.iterdir()
        for one in read(path)
        if one.structure.is_ordered
    }
    for format_ in ("cif", "extxyz", "ase-db"):
        output = tmp_path / f"all.{format_}"
        invoke("structures", "export", "--ordered", "--format", format_, "-o", output)
        assert {fingerprint(one.structure) for one in read(output)} == before
