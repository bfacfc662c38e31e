"""Import at the command: whatever comes in, from wherever, and whatever happens on the way."""

from __future__ import annotations

import io
import json
import os
import signal
import tarfile
import time
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from psycopg2.extras import RealDictCursor
from samples import compound, metal
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from api.cli.importing import PACKED, expected_bytes
from api.intake.structures import Intake
from api.models.structure import CELL
from api.services.structure_import import Terms
from api.services.users import local_owner
from nanoos.parsers import find
from nanoos.processes import Limits
from nanoos.structures import ANALYSIS_VERSION
from nanoos.writers import write

if TYPE_CHECKING:
    from conftest import Cli, Invoke, Start

EXAMPLES = Path(__file__).parents[3] / "examples" / "crystals"
Sessions = async_sessionmaker[AsyncSession]


def copper(number: int) -> str:
    """A file of one structure; each number another."""
    return write([metal("Cu", a=3.5 + number / 10_000)], "extxyz")


def many(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:05}.extxyz").write_text(copper(number))
    return folder


def tar(path: Path, members: dict[str, str], mode: Any = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content.encode())
            archive.addfile(member, io.BytesIO(content.encode()))
    return path


Ask = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def ask(database: str) -> Ask:
    """Return the rows that a query finds, by column."""

    def query(statement: str) -> list[dict[str, Any]]:
        with (
            closing(psycopg2.connect(database, cursor_factory=RealDictCursor)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
            return [dict(row) for row in cursor]

    return query


SOURCES = "SELECT name, place, is_last FROM structure_sources"


def places(ask: Ask) -> set[tuple[str, int, bool]]:
    return {(row["name"], row["place"], row["is_last"]) for row in ask(SOURCES)}


def test_what_a_file_says_fills_every_column(invoke: Invoke, ask: Ask) -> None:
    invoke("structures", "import", EXAMPLES / "halite_0011356.cif", "--tag", "b", "--tag", "a")
    (row,) = ask("SELECT * FROM structures")
    (citation,) = ask("SELECT * FROM citations")
    expected = {
        "elements": ["Cl", "Na"],
        "elements_ratios": [0.5, 0.5],
        "chemical_system": "Cl-Na",
        "reduced_formula": "ClNa",
        "anonymous_formula": "AB",
        "number_of_elements": 2,
        "number_of_periodic_dimensions": 3,
        "external_id": "0011356",
        "tags": ["a", "b"],
        "analysis_version": ANALYSIS_VERSION,
        "citation_id": citation["id"],
    }
    assert expected.items() <= row.items()
    assert row["protostructure"].endswith(":Cl-Na")
    cubic = pytest.approx([row["cell_a_a"]] * 3 + [90.0] * 3)
    assert [row[name] for name in CELL] == cubic
    said = row["extra"]["citation"]
    assert {name: citation[name] for name in said} == said


def test_terms_are_those_of_structures_that_say_nothing(
    invoke: Invoke, ask: Ask, tmp_path: Path
) -> None:
    (tmp_path / "cu.extxyz").write_text(copper(1))
    what = ("structures", "import", tmp_path / "cu.extxyz", EXAMPLES / "halite_0011356.cif")
    invoke(*what, "--public", "--licence", "CC-BY-4.0", "--source", "our own")
    rows = ask("SELECT * FROM structures")
    assert {row["licence"] for row in rows} == {"CC-BY-4.0"}
    by_formula = {row["reduced_formula"]: row["source"] for row in rows}
    assert by_formula["Cu"] == "our own"
    assert by_formula["ClNa"] not in {None, "our own"}


@pytest.mark.slow
def test_archives_and_standard_input_are_looked_into(cli: Cli, ask: Ask, tmp_path: Path) -> None:
    folder = many(tmp_path / "plain", 2)
    tar(tmp_path / "runs.tar.gz", {"a/1.extxyz": copper(11), "a/2.extxyz": copper(12)})
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.writestr("3.extxyz", copper(13))
        archive.writestr("broken.cif", "data_x\n_cell_length_a 1\n")
    done = cli(
        *("structures", "import", folder, tmp_path / "runs.tar.gz", tmp_path / "more.zip", "-"),
        "--json",
        stdin=copper(14),
        exits=1,
    ).json
    assert done["imported"] == 6
    assert [Path(one["file"]).name for one in done["failed"]] == ["broken.cif"]
    names = {name for name, _, _ in places(ask)}
    assert names >= {"plain/00000.extxyz", "runs.tar.gz/a/1.extxyz", "more.zip/3.extxyz"}


@pytest.mark.slow
def test_a_file_is_known_by_its_content_under_any_name(
    invoke: Invoke, ask: Ask, tmp_path: Path
) -> None:
    folder = many(tmp_path / "once", 3)
    invoke("structures", "import", folder)
    (folder / "00000.extxyz").rename(folder / "other.extxyz")
    again = invoke("structures", "import", folder, "--json").json
    assert again == {"imported": 0, "existing": 3, "failed": []}
    assert {name for name, _, _ in places(ask)} == {
        *(f"once/{number:05}.extxyz" for number in range(3)),
        "once/other.extxyz",
    }


@pytest.mark.slow
def test_a_structure_that_is_wrong_keeps_none_of_its_file_out(
    invoke: Invoke, ask: Ask, tmp_path: Path
) -> None:
    good = [
        write([compound("NaCl", a=a)], "cif").replace("data_", f"data_{a}_") for a in (5.6, 5.7)
    ]
    flat = good[0].replace("_cell_length_a", "_cell_length_a 0 #").replace("data_", "data_flat_")
    (tmp_path / "three.cif").write_text("\n".join([good[0], flat, good[1]]))
    done = invoke("structures", "import", tmp_path / "three.cif", "--json", exits=1).json
    assert done["imported"] == 2
    ((failed),) = done["failed"]
    assert (Path(failed["file"]).name, failed["place"]) == ("three.cif", 2)
    assert places(ask) == {
        (f"{tmp_path.name}/three.cif", 1, False),
        (f"{tmp_path.name}/three.cif", 3, True),
    }
    again = invoke("structures", "import", tmp_path / "three.cif", "--json", exits=1).json
    assert (again["imported"], again["existing"], again["failed"]) == (0, 2, done["failed"])


@pytest.mark.slow
def test_failures_are_written_down_and_not_all_shown(invoke: Invoke, tmp_path: Path) -> None:
    folder = many(tmp_path / "mixed", 5)
    for symbol in [first + second for first in "JQW" for second in ascii_lowercase][:60]:
        (folder / f"bad-{symbol}.xyz").write_text(copper(1).replace("\nCu", f"\n{symbol}"))
    written = tmp_path / "failures.jsonl"
    answer = invoke("structures", "import", folder, "--report", written, exits=1)
    assert answer.stdout == "5 imported, 0 already there, 60 failed\n"
    assert answer.stderr.count("bad-") == 50
    failures = [json.loads(line) for line in written.read_text().splitlines()]
    assert len({one["file"] for one in failures}) == len(failures) == 60


def test_failures_of_one_cause_share_a_line(invoke: Invoke, tmp_path: Path) -> None:
    shown = invoke("structures", "import", many(tmp_path / "files", 5), "--public", exits=1).stderr
    (line,) = [line for line in shown.splitlines() if "licence" in line]
    assert "00000.extxyz and 4 more: " in line


@pytest.mark.parametrize("tag", ["a,b", "", " a"])
def test_a_tag_that_is_none_is_refused(invoke: Invoke, tmp_path: Path, tag: str) -> None:
    (tmp_path / "cu.xyz").write_text(copper(1))
    said = invoke("structures", "import", tmp_path / "cu.xyz", "--tag", tag, exits=2).stderr
    assert f"{tag!r} is no tag" in said
    assert invoke("structures", "list", "--json").json["structures"] == []


@pytest.mark.slow
def test_a_folder_without_files_is_said(invoke: Invoke, tmp_path: Path) -> None:
    said = invoke("structures", "import", tmp_path, exits=1).stderr
    assert f"No files in {tmp_path}." in said
    many(tmp_path / "inner", 1)
    said = invoke("structures", "import", tmp_path, exits=1).stderr
    assert f"No files in {tmp_path}; --recursive looks into its folders too." in said
    assert invoke("structures", "import", tmp_path, "--recursive", "--json").json["imported"] == 1


HOSTILE = """
import ctypes, time
from nanoos.parsers import Parsed

class Hostile:
    name = "hostile"

    def recognises(self, head, filename):
        return head.startswith(b"hostile")

    def parse(self, source):
        deed = source.text.split()[1]
        if deed == "crash":
            ctypes.string_at(0)
        elif deed == "hang":
            time.sleep(3600)
        elif deed == "eat":
            eaten = [bytes(2**26) for _ in range(60)]
        raise RuntimeError(deed)
"""


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of good files and such whose parser, a plug-in, does its worst."""
    package = tmp_path / "package"
    info = package / "hostile-1.dist-info"
    info.mkdir(parents=True)
    (package / "hostile.py").write_text(HOSTILE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[nanoos.parsers]\nhostile = hostile:Hostile\n")
    monkeypatch.syspath_prepend(package)
    folder = many(tmp_path / "files", 40)
    for deed in ("crash", "hang", "eat", "raise"):
        (folder / f"00020-{deed}").write_text(f"hostile {deed}")
    return folder


@pytest.mark.slow
async def test_a_parser_that_does_its_worst_costs_its_file_alone(
    sessions: Sessions, hostile: Path
) -> None:
    async with sessions.begin() as session:
        owner = await local_owner(session)
    ours = Intake(sessions, Terms(owner.id), 2, limits=Limits(silence_s=4.0))
    report = await ours.run(find([hostile]))
    assert report.imported == 40
    said = {Path(one.file).name.partition("-")[2]: one.error for one in report.failed}
    assert said.keys() == {"crash", "hang", "eat", "raise"}
    assert "SIGSEGV" in said["crash"]
    assert "longer than" in said["hang"]
    assert "memory" in said["eat"]


@pytest.mark.slow
def test_a_row_that_the_database_refuses_is_reported(
    invoke: Invoke, ask: Ask, tmp_path: Path
) -> None:
    """Its name has more words than an index of text can hold."""
    folder = many(tmp_path / "good", 5)
    words = " ".join(map(str, range(300_000)))
    atoms = copper(9).splitlines()
    atoms[1] += f' name="{words}"'
    (folder / "00002-wordy.extxyz").write_text("\n".join(atoms) + "\n")
    done = invoke("structures", "import", folder, "--json", exits=1).json
    assert done["imported"] == 5
    ((failed),) = done["failed"]
    assert "wordy" in failed["file"]
    assert "tsvector" in failed["error"]


@pytest.mark.slow
def test_two_imports_at_once_store_each_structure_once(
    start: Start, cli: Cli, tmp_path: Path
) -> None:
    folder = many(tmp_path / "both", 120)
    running = [start("structures", "import", folder, "--workers", 1) for _ in range(2)]
    assert [one.end(120) for one in running] == [0, 0]
    counted = [int(one.output().split(" imported")[0].split()[-1]) for one in running]
    assert sum(counted) == 120
    assert cli("structures", "import", folder, "--json").json["existing"] == 120


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_stored_and_says_how_to_go_on(
    start: Start, cli: Cli, ask: Ask, tmp_path: Path
) -> None:
    """A pipe that does not end is read at last: the import is still under way."""
    pipe = tmp_path / "endless"
    os.mkfifo(pipe)
    command = start("structures", "import", many(tmp_path / "files", 30), pipe, session=True)
    with pipe.open("w"):
        while not ask("SELECT FROM structures LIMIT 1"):
            assert command.is_running()
            time.sleep(0.1)
        os.killpg(command.pid, signal.SIGINT)
        assert command.end() == 130
    assert "30 imported, and they stay" in command.output()
    assert "Traceback" not in command.output()
    assert cli("structures", "import", tmp_path / "files", "--json").json["existing"] == 30


def test_a_format_that_is_named_is_obeyed(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "cu.dat").write_text(copper(1))
    what = ("structures", "import", tmp_path / "cu.dat", "--json", "--format")
    assert invoke(*what, "cif", exits=1).json["imported"] == 0
    assert invoke(*what, "extxyz").json["imported"] == 1
    assert "extxyz" in invoke(*what, "docx", exits=2).stderr


@pytest.mark.parametrize("licence", ["my own", "CC-BY-5.0"])
def test_a_licence_that_is_none_is_refused(invoke: Invoke, tmp_path: Path, licence: str) -> None:
    (tmp_path / "cu.dat").write_text(copper(1))
    said = invoke("structures", "import", tmp_path / "cu.dat", "--licence", licence, exits=2)
    assert "LicenseRef-" in said.stderr


@pytest.mark.slow
def test_what_an_older_version_derived_is_derived_again(
    invoke: Invoke, ask: Ask, database: str
) -> None:
    """Rows as an old release leaves them, one in a material that is not its own any more."""
    files = [EXAMPLES / f"{name}.cif" for name in ("halite_0011356", "copper_0011145")]
    invoke("structures", "import", *files)
    wanted = "SELECT s.*, m.hill_formula FROM structures s JOIN materials m ON m.id = material_id"
    before = {row["id"]: row for row in ask(wanted)}
    with closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "UPDATE structures SET analysis_version = 1, elements = NULL, elements_ratios = NULL,"
            " number_of_elements = NULL, protostructure = NULL, cell_a_a = NULL;"
            " UPDATE materials SET space_group_number = 1 WHERE hill_formula = 'Cu'"
        )
        connection.commit()
    assert "2 structures" in invoke("structures", "import", *files).stderr
    assert "reanalyse" in invoke("structures", "search", "--n-sites", "1:").stderr
    assert invoke("structures", "reanalyse", "--json").json == {"analysed": 2, "failed": []}
    changing = {"updated_at", "material_id"}
    for row in ask(wanted):
        was = before[row["id"]]
        assert {k: v for k, v in row.items() if k not in changing} == {
            k: v for k, v in was.items() if k not in changing
        }
        assert row["updated_at"] > was["updated_at"]
    groups = {
        row["hill_formula"]: row["space_group_number"] for row in ask("SELECT * FROM materials")
    }
    assert groups == {"Cu": 225, "ClNa": 225}
    assert invoke("structures", "reanalyse", "--json").json == {"analysed": 0, "failed": []}
    assert "reanalyse" not in invoke("structures", "import", *files).stderr
    assert invoke("structures", "reanalyse", "--all", "--json").json["analysed"] == 2


def test_what_there_is_to_read_is_estimated(tmp_path: Path) -> None:
    folder = many(tmp_path / "some", 3)
    deep = many(folder / "deep", 2)
    size, more = (sum(one.stat().st_size for one in at.glob("*.extxyz")) for at in (folder, deep))
    (folder / ".hidden").write_text("not for us")
    assert expected_bytes([folder], recursive=False) == size
    assert expected_bytes([folder], recursive=True) == size + more
    packed = tar(tmp_path / "runs.tar.gz", {"1": copper(1)})
    assert expected_bytes([packed], recursive=False) == PACKED * packed.stat().st_size
    assert expected_bytes([folder, "-"], recursive=False) is None


def failing(database: str, code: str, times: int) -> None:
    """Let the database refuse to insert structures, so often, with an error of this code."""
    with closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute(
            f"""
            CREATE SEQUENCE attempts;
            CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF nextval('attempts') <= {times} THEN
                    RAISE EXCEPTION 'could not extend file' USING ERRCODE = '{code}';
                END IF;
                RETURN NULL;
            END $$;
            CREATE TRIGGER fail BEFORE INSERT ON structures EXECUTE FUNCTION fail();
            """
        )
        connection.commit()


@pytest.mark.parametrize("code", ["40P01", "40001", "23503"])
def test_a_batch_that_stood_in_another_ones_way_is_stored_again(
    invoke: Invoke, database: str, tmp_path: Path, code: str
) -> None:
    failing(database, code, times=2)
    done = invoke("structures", "import", many(tmp_path / "files", 3), "--json").json
    assert done == {"imported": 3, "existing": 0, "failed": []}


def test_a_full_disk_is_said_and_the_import_goes_on_when_there_is_room(
    invoke: Invoke, database: str, tmp_path: Path
) -> None:
    failing(database, "53100", times=1)
    folder = many(tmp_path / "files", 3)
    answer = invoke("structures", "import", folder, exits=3)
    assert "could not extend file" in answer.stderr
    assert "disk is full" in answer.stderr
    assert invoke("structures", "import", folder, "--json").json["imported"] == 3
