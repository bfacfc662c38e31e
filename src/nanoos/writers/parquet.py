"""Parquet: a table with a row a structure, for pandas, Polars, DuckDB and the like."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nanoos.errors import NotWritten
from nanoos.writers.jsonl import plain
from nanoos.writers.record import FIELDS, Record, document
from nanoos.writers.writer import Add

if TYPE_CHECKING:
    import pyarrow

_ROWS, _SITES = 2_000, 100_000
"""Rows, and sites, that one group of rows holds at most: what memory holds at a time."""


class ParquetWriter:
    """The writer of Parquet files: columns, units and order are those of `nanoos.writers.FIELDS`.

    Needs pyarrow, which the extra ``tables`` brings.
    """

    name = "parquet"
    suffixes = (".parquet",)
    stems: tuple[str, ...] = ()
    one_per_file = False

    @contextmanager
    def open(self, path: Path) -> Iterator[Add]:
        """Begin a new file. Raises NotWritten without pyarrow."""
        try:
            from pyarrow.parquet import ParquetWriter as Table
        except ImportError as error:
            raise NotWritten(
                "Parquet files need pyarrow. Install it with: pip install 'nano-os[tables]'"
            ) from error
        schema = _schema()
        with Table(path, schema, compression="zstd") as table:
            group = _Group(table, schema)
            yield group.add
            group.write()


class _Group:
    """Rows that are written together."""

    def __init__(self, table: Any, schema: pyarrow.Schema) -> None:
        self._table = table
        self._schema = schema
        self._rows: list[dict[str, Any]] = []
        self._sites = 0

    def add(self, record: Record) -> None:
        row = document(record)
        row["extra"] = json.dumps(row["extra"], ensure_ascii=False, default=plain)
        row["citation"] = json.dumps(row["citation"], ensure_ascii=False, default=plain)
        self._rows.append(row)
        self._sites += record.structure.n_sites
        if len(self._rows) >= _ROWS or self._sites >= _SITES:
            self.write()

    def write(self) -> None:
        import pyarrow

        if self._rows:
            self._table.write_table(pyarrow.Table.from_pylist(self._rows, self._schema))
        self._rows, self._sites = [], 0


def _schema() -> pyarrow.Schema:
    """Return the columns, each with its description; objects are JSON in text."""
    import pyarrow as pa

    vector = pa.list_(pa.field("element", pa.float64()), 3)
    species = pa.struct(
        [
            ("name", pa.string()),
            ("chemical_symbols", pa.list_(pa.string())),
            ("concentration", pa.list_(pa.float64())),
        ]
    )
    types = {
        "text": pa.string(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
        "time": pa.timestamp("us", tz="UTC"),
        "texts": pa.list_(pa.string()),
        "integers": pa.list_(pa.int64()),
        "numbers": pa.list_(pa.float64()),
        "vectors": pa.list_(vector),
        "species": pa.list_(species),
        "object": pa.string(),
    }
    columns = [
        pa.field(name, types[kind], metadata={"description": description})
        for name, kind, description in FIELDS
    ]
    return pa.schema(columns)
