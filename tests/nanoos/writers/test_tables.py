"""Tables and databases of structures, as other programs read them."""

import json

import numpy as np
import pandas
import pyarrow.parquet
import pytest
from ase.build import bulk, molecule
from ase.db import connect

from nanoos.errors import NotWritten
from nanoos.parsers import read
from nanoos.structures import Species, Structure, fingerprint
from nanoos.writers import FIELDS, Record, exporting, writer_of

MIXED = Structure(
    bulk("Cu").cell.array, [[0.0, 0.0, 0.0]], (Species("m", ("Au", "Cu"), (0.3, 0.7)),), ("m",)
)


@pytest.fixture(scope="module")
def records(examples):
    found = [
        Record(one.structure, one.extra, {"name": one.name}) for p in examples for one in read(p)
    ]
    others = [Record(Structure.from_ase(molecule("CH4"))), Record(MIXED)]
    return [
        Record(one.structure, one.extra, {"id": f"n{n}", **one.known})
        for n, one in enumerate([*found, *others])
    ]


def export(path, format_, records):
    with exporting(path, writer_of(format_), sources=False) as add:
        for record in records:
            add(record)
    return path


def rebuilt(row):
    lattice = row["lattice_a"]
    return Structure(
        None if lattice is None else np.array(lattice),
        np.array(row["positions_a"]),
        tuple(
            Species(s["name"], tuple(s["chemical_symbols"]), tuple(s["concentration"]))
            for s in row["species"]
        ),
        tuple(row["species_at_sites"]),
        tuple(map(bool, row["dimension_types"])),
    )


def test_parquet_and_json_lines_hold_all_fields_and_every_digit(tmp_path, records):
    table = pyarrow.parquet.read_table(export(tmp_path / "a.parquet", "parquet", records))
    lines = export(tmp_path / "a.jsonl", "jsonl", records).read_text().splitlines()
    assert table.column_names == [field.name for field in FIELDS]
    for row, line, record in zip(table.to_pylist(), map(json.loads, lines), records, strict=True):
        assert list(line) == ["nano_os", *table.column_names]
        for kept in (row, line):
            assert fingerprint(rebuilt(kept)) == fingerprint(record.structure)
            assert kept["positions_a"] == record.structure.positions_a.tolist()
            assert kept["name"] == record.known.get("name")
        assert json.loads(row["citation"]) == line["citation"] == record.extra.get("citation", {})


def test_parquet_describes_its_columns_and_pandas_reads_it(tmp_path, records):
    path = export(tmp_path / "a.parquet", "parquet", records)
    frame = pandas.read_parquet(path, columns=["name", "number_of_sites", "volume_a3"])
    assert len(frame) == len(records)
    assert frame.volume_a3.isna().sum() == 1  # of the molecule
    schema = pyarrow.parquet.read_schema(path)
    assert schema.field("volume_a3").metadata[b"description"].decode().endswith("in Å³")


def test_parquet_is_written_in_groups(tmp_path, records, monkeypatch):
    monkeypatch.setattr("nanoos.writers.parquet._ROWS", 10)
    file = pyarrow.parquet.ParquetFile(export(tmp_path / "a.parquet", "parquet", records))
    assert file.num_row_groups == -(-len(records) // 10)
    assert file.read()["id"].to_pylist() == [record.known["id"] for record in records]


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(NotWritten, match=r"pip install 'nano-os\[tables\]'"):
        export(tmp_path / "a.parquet", "parquet", [])
    assert list(tmp_path.iterdir()) == []


def test_ase_selects_in_its_database_and_it_is_imported_as_the_same(tmp_path, records):
    ordered = [record for record in records if record.structure.is_ordered]
    path = export(tmp_path / "a.db", "ase-db", ordered)
    with connect(path) as database:
        (halite,) = database.select(name="Halite")
        assert halite.data["citation"]["authors"]
        assert halite.nano_os_id == next(
            r.known["id"] for r in ordered if r.known["name"] == "Halite"
        )
        assert sum(1 for _ in database.select("volume_a3>100")) < len(ordered)
    again = read(path)
    assert [fingerprint(one.structure) for one in again] == [
        fingerprint(record.structure) for record in ordered
    ]


@pytest.mark.parametrize("text", ["0000123", "1e5", "True", "inf", ""])
def test_text_that_ase_takes_for_a_number_is_in_the_data(tmp_path, text):
    copper = Record(Structure.from_ase(bulk("Cu")), {}, {"external_id": text, "name": "Cu"})
    with connect(export(tmp_path / "a.db", "ase-db", [copper])) as database:
        (row,) = database.select()
    assert row.data["external_id"] == text
    assert row.key_value_pairs["name"] == "Cu"
