import hashlib
from pathlib import Path

import pytest
from ase.build import bulk

from nanoos.errors import ParseError
from nanoos.parsers import Parsed, Source, read, read_source
from nanoos.structures import Structure, analyse
from nanoos.writers import write

EXAMPLES = Path(__file__).parents[3] / "examples" / "crystals"
FILES = sorted(EXAMPLES.iterdir())


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_example_reads_with_its_source(path):
    (parsed,) = read(path)
    assert parsed.source_text == path.read_text(encoding="utf-8")
    assert parsed.source_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert parsed.source_format == path.suffix[1:]
    assert parsed.name


def test_examples_are_different_crystals_of_every_family():
    results = [analyse(parsed.structure) for path in FILES for parsed in read(path)]
    assert len({r.fingerprint for r in results}) == len(FILES) >= 60
    fcc = {r.reduced_formula for r in results if r.anonymous_formula == "A"
           and r.space_group_loose.number == 225}  # fmt: skip
    assert {"Al", "Ni", "Cu", "Pd", "Ag", "Pt", "Au"} <= fcc
    rock_salt = [r for r in results if r.anonymous_formula == "AB"
                 and r.space_group_loose.number == 225]  # fmt: skip
    assert len(rock_salt) >= 8
    assert sum(not r.is_ordered for r in results) >= 2
    assert all(r.space_group_strict.number == r.space_group_loose.number for r in results)


@pytest.mark.parametrize("format_", ["cif", "poscar", "extxyz"])
def test_content_outweighs_the_name(format_, tmp_path):
    text = write([Structure.from_ase(bulk("NaCl", "rocksalt", 5.64))], format_)
    for name in ("anything", "wrong.cif", "wrong.xyz", "POSCAR"):
        path = tmp_path / name
        path.write_text(text)
        assert read(path)[0].source_format == format_


def test_a_table_says_which_exports_are_read(tmp_path):
    path = tmp_path / "all.parquet"
    path.write_bytes(b"PAR1\x15\x04\xff\x00")
    with pytest.raises(ParseError, match=r"Parquet table.*jsonl, optimade-jsonl or ase-db"):
        read(path)


def test_byte_order_mark_and_windows_line_ends(tmp_path):
    path = tmp_path / "halite.cif"
    text = (EXAMPLES / "halite_0011356.cif").read_text().replace("\n", "\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    (parsed,) = read(path)
    assert parsed.source_text == text
    assert parsed.structure.n_sites == 8


def test_frames_are_numbered_when_they_have_no_name(tmp_path):
    path = tmp_path / "relaxation.xyz"
    path.write_text("1\n\nCu 0 0 0\n" * 2)
    assert [parsed.name for parsed in read(path)] == ["relaxation 1", "relaxation 2"]


def test_file_that_is_written_to_while_it_is_read_is_not_taken_for_whole(tmp_path):
    path = tmp_path / "relaxation.xyz"
    path.write_text("1\n\nCu 0 0 0\n" * 3)
    found = []
    with pytest.raises(ParseError, match="changed while it was read"):  # noqa: PT012 - from its end
        for one in read_source(Source(str(path), path)):
            found.append(one)
            if len(found) == 1:
                with path.open("a") as file:
                    file.write("1\n\nCu 0 0 0\n")
    assert len(found) >= 3


FORMATS = Path(__file__).parents[2] / "fixtures" / "formats"


@pytest.mark.parametrize(
    "path",
    sorted(path for path in FORMATS.glob("*/*") if path.is_file()),
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_content_tells_the_format_of_every_kind_of_file(path, tmp_path):
    nameless = tmp_path / "file"
    nameless.write_bytes(path.read_bytes())
    parsed = [one for one in read_source(Source("file", nameless)) if isinstance(one, Parsed)]
    assert {one.source_format for one in parsed} == {path.parent.name}
