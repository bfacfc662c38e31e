"""Finding runs: the files of one folder come together, wherever the folder lies."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from nanoos import plugins
from nanoos.errors import ParseError
from nanoos.parsers import Unfound
from nanoos.runs import RunFolder
from nanoos.runs.find import digest, find, is_wanted, runs_in

FIXTURES = Path(__file__).parents[2] / "fixtures" / "runs"

FILES = {
    "a.out": "top",
    "relax/INCAR": "x",
    "relax/OUTCAR": "y",
    "relax/WAVECAR": "huge",
    "relax/later/OUTCAR": "z",
    "relax/z.log": "w",
    "scf/pw.out": "q",
    "scf/si.save/data-file-schema.xml": "<x/>",
    "scf/si.save/charge-density.dat": "huge",
    "scf/si.save/wfc1.dat": "huge",
    ".hidden/OUTCAR": "no",
}
EXPECTED = {
    "": ["a.out"],
    "/relax": ["INCAR", "OUTCAR", "z.log"],
    "/relax/later": ["OUTCAR"],
    "/scf": ["pw.out", "si.save/data-file-schema.xml"],
}


@pytest.fixture
def calcs(tmp_path: Path) -> Path:
    folder = tmp_path / "calcs"
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def found(*arguments: Path | str) -> dict[str, list[str]]:
    folders = list(find(arguments))
    assert all(isinstance(one, RunFolder) for one in folders), folders
    names = [one.name for one in folders]
    assert len(set(names)) == len(names)
    return {one.name: sorted(one.files) for one in folders if isinstance(one, RunFolder)}


def test_files_of_a_folder_come_together_and_what_is_huge_is_left(calcs: Path) -> None:
    expected = {f"calcs{name}": files for name, files in EXPECTED.items()}
    assert found(calcs) == expected
    assert found(calcs / "relax" / "OUTCAR") == {"relax": ["OUTCAR"]}


def test_the_folder_at_hand_is_named_by_its_name(
    calcs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(calcs)
    assert set(found(".")) == {f"calcs{name}" for name in EXPECTED}


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_archives_are_looked_into_in_whatever_folder(
    calcs: Path, tmp_path: Path, kind: str
) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    archive = shelf / f"old.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as packed:
            for name, content in FILES.items():
                packed.writestr(name, content)
    else:
        with tarfile.open(archive, "w:gz") as packed:
            for name, content in FILES.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                packed.addfile(member, io.BytesIO(content.encode()))
    assert found(shelf) == {f"shelf/old.{kind}{name}": files for name, files in EXPECTED.items()}


def test_links_that_lead_back_are_followed_once(calcs: Path) -> None:
    (calcs / "relax" / "loop").symlink_to(calcs)
    (calcs / "scf" / "same").symlink_to(calcs / "relax")
    assert set(found(calcs)) == {f"calcs{name}" for name in EXPECTED}


def test_what_cannot_be_read_is_said_and_the_rest_found(calcs: Path) -> None:
    (calcs / "broken").symlink_to(calcs / "nothing")
    (calcs / "damaged.zip").write_bytes(b"PK\x03\x04 not an archive")
    each = list(find([calcs]))
    said = {one.name.rpartition("/")[2]: str(one.error) for one in each if isinstance(one, Unfound)}
    assert set(said) == {"broken", "damaged.zip"}
    assert len(each) - len(said) == len(EXPECTED)


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
def test_of_a_damaged_archive_what_may_lack_files_is_told(tmp_path: Path, kind: str) -> None:
    """Wherever it is cut: what was given as whole is whole."""
    content = {f"{run}/{name}": os.urandom(999) for run in "abc" for name in ("in", "out", "log")}
    for name, data in content.items():
        (tmp_path / "x" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "x" / name).write_bytes(data)
    format_ = {"tar": "tar", "tar.gz": "gztar", "zip": "zip"}[kind]
    archive = Path(shutil.make_archive(str(tmp_path / "packed"), format_, tmp_path / "x"))
    packed = archive.read_bytes()
    counts = set()
    for cut in range(2000, len(packed) - 1, 331):
        archive.write_bytes(packed[:cut])
        folders = list(find([archive]))
        amiss = [one.name for one in folders if isinstance(one, Unfound)]
        assert amiss in ([], [str(archive)])
        for folder in folders:
            if isinstance(folder, RunFolder) and not folder.lost:
                assert sorted(folder.files) == ["in", "log", "out"]
        n_whole = sum(isinstance(one, RunFolder) and not one.lost for one in folders)
        assert amiss or n_whole == 3  # of a tar archive, zeros at its end alone are lost
        counts.add(n_whole)
    assert {0, 1, 2} <= counts


@pytest.mark.parametrize("name", ["espresso/scf/pw.out.xz", "vasp/relaxed/OUTCAR.xz"])
@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_a_small_compressed_output_that_is_cut_short_is_a_run(
    tmp_path: Path, name: str, pack: Callable[[bytes], bytes]
) -> None:
    """What its first bytes say is known; that it ends early is told when it is read."""
    content = lzma.decompress((FIXTURES / name).read_bytes())
    packed = pack(content)
    (tmp_path / "output.packed").write_bytes(packed[: len(packed) // 2])
    (folder,) = find([tmp_path])
    assert isinstance(folder, RunFolder)
    (run,) = runs_in(folder)
    reader = plugins.get("nanoos.runs", run.reader)()
    with suppress(ParseError):
        *_, read = reader.read(run.folder)
        assert read.end == "unfinished"
        assert "truncated" in read.problems


def test_an_archive_of_aiida_is_one_file(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "export.aiida", "w") as packed:
        packed.writestr("repo/ab", "content")
    assert found(tmp_path) == {tmp_path.name: ["export.aiida"]}


@pytest.mark.parametrize(
    "name",
    ["WAVECAR", "CHGCAR.gz", "CHGCAR.relax1.gz", "AECCAR0", "si.wfc12", "wfc1.hdf5", "x.cube"],
)
def test_names_of_what_holds_no_energy(name: str) -> None:
    assert not is_wanted(f"some/folder/{name}")


@pytest.mark.parametrize(
    "name", ["OUTCAR", "CHGNET.out", "vasprun.xml.gz", "core_level.out", "bar.out", "wfc.out"]
)
def test_names_that_may_hold_one(name: str) -> None:
    assert is_wanted(f"some/WAVECAR/{name}")


def test_a_run_is_known_by_its_contents_wherever_it_lies(calcs: Path, tmp_path: Path) -> None:
    def digests() -> dict[str, str]:
        return {one.name: digest(one) for one in find([tmp_path]) if isinstance(one, RunFolder)}

    before = digests()
    (calcs / "relax" / "OUTCAR").rename(calcs / "relax" / "OUTCAR.1")
    calcs.rename(tmp_path / "moved")
    assert set(digests().values()) == set(before.values())
    (tmp_path / "moved" / "a.out").write_text("changed")
    assert len(set(digests().values()) - set(before.values())) == 1
