"""Files and folders are complete, or not there at all."""

import csv
import gzip
import resource

import pytest
from ase.build import bulk, molecule

from nanoos.errors import NotWritten, StructureError
from nanoos.parsers import read
from nanoos.structures import Structure, fingerprint
from nanoos.writers import Record, exporting, format_of, known_formats, writer_of

COPPER = Record(
    Structure.from_ase(bulk("Cu")),
    {"citation": {"authors": ["Wyckoff R W G"], "year": 1963}, "licence": "CC0-1.0"},
    {"id": "1", "name": "copper"},
)
GOLD = Record(Structure.from_ase(bulk("Au")), {}, {"id": "2"})
WATER = Record(Structure.from_ase(molecule("H2O")), {}, {"id": "3"})


def export(output, *records, format_="cif", **how):
    with exporting(output, writer_of(format_), **how) as add:
        for record in records:
            add(record() if callable(record) else record)


def interrupted():
    raise KeyboardInterrupt


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2", ".zst"])
def test_sources_and_licences_come_along(tmp_path, suffix):
    export(tmp_path / f"metals.cif{suffix}", COPPER, GOLD)
    assert names(tmp_path) == ["metals.bib", f"metals.cif{suffix}", "metals.licences.csv"]
    assert "@misc{Wyckoff1963," in (tmp_path / "metals.bib").read_text()
    with (tmp_path / "metals.licences.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["id"], row["licence"], row["citation"]) for row in rows] == [
        ("1", "CC0-1.0", "Wyckoff1963"),
        ("2", "not stated", "not stated"),
    ]
    again = read(tmp_path / f"metals.cif{suffix}")
    assert [fingerprint(one.structure) for one in again] == [
        fingerprint(record.structure) for record in (COPPER, GOLD)
    ]


def test_same_export_is_the_same_file(tmp_path):
    for name in ("one.cif.gz", "two.cif.gz"):
        export(tmp_path / name, COPPER, sources=False)
    assert (tmp_path / "one.cif.gz").read_bytes() == (tmp_path / "two.cif.gz").read_bytes()


@pytest.mark.parametrize("format_", known_formats())
@pytest.mark.parametrize("folder", [False, True])
def test_what_breaks_off_leaves_all_as_it_was(tmp_path, format_, folder):
    output = tmp_path / "metals"
    export(output, COPPER, format_=format_, folder=folder)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    with pytest.raises(KeyboardInterrupt):
        export(output, GOLD, interrupted, format_=format_, folder=folder)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_refused_record_leaves_no_trace_in_file_or_folder(tmp_path):
    for folder in (False, True):
        with exporting(tmp_path / f"out{folder}", writer_of("cif"), folder=folder) as add:
            add(COPPER)
            with pytest.raises(StructureError, match="crystals only"):
                add(WATER)
            add(GOLD)
        table = (tmp_path / f"out{folder}.licences.csv").read_text()
        assert "H2O" not in table
    assert names(tmp_path / "outTrue") == ["Au_2.cif", "Cu_1.cif"]
    assert len(read(tmp_path / "outFalse")) == 2


def test_folder_keeps_what_it_held(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    export(tmp_path / "out", COPPER, format_="poscar", folder=True)
    assert names(tmp_path / "out") == ["Cu_1.vasp", "notes.txt"]


def test_bibliography_of_somebody_else_is_not_replaced(tmp_path):
    (tmp_path / "thesis.bib").write_text("@book{mine}")
    with pytest.raises(NotWritten, match=r"thesis\.bib is there already"):
        export(tmp_path / "thesis.cif", COPPER)
    assert names(tmp_path) == ["thesis.bib"]
    export(tmp_path / "thesis.cif", COPPER, sources=False)
    assert names(tmp_path) == ["thesis.bib", "thesis.cif"]


def test_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(NotWritten, match=r"nowhere.*No such file"):
        export(tmp_path / "nowhere" / "metals.cif", COPPER)


@pytest.fixture
def small_disk():
    """No file may grow beyond 2 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("format_", known_formats())
def test_full_disk_leaves_all_as_it_was(tmp_path, small_disk, format_):
    (tmp_path / "metals").write_text("what stood there")
    rattled = bulk("Cu").repeat(5)
    rattled.rattle(0.01, seed=0)
    large = Record(Structure.from_ase(rattled))
    with pytest.raises(NotWritten, match=r"metals could not be written: .*"):
        export(tmp_path / "metals", large, format_=format_, sources=False)
    assert names(tmp_path) == ["metals"]
    assert (tmp_path / "metals").read_text() == "what stood there"


@pytest.mark.parametrize(
    ("name", "format_"),
    [("a.cif", "cif"), ("a.XYZ.gz", "extxyz"), ("a.vasp", "poscar"), ("a.jsonl.zst", "jsonl")],
)
def test_format_is_what_the_name_says(tmp_path, name, format_):
    assert format_of(tmp_path / name) == format_


def test_compressed_text_is_what_its_suffix_says(tmp_path):
    export(tmp_path / "metals.jsonl.gz", COPPER, format_="jsonl", sources=False)
    with gzip.open(tmp_path / "metals.jsonl.gz", "rt") as file:
        assert file.read().startswith('{"nano_os"')
