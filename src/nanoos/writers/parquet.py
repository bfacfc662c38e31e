"""Parquet: a table with a row a structure, for pandas, Polars, DuckDB and the like."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nanoos.errors import NotWritten
from nanoos.writers.jsonl import plain
from nanoos.writers.record import FIELDS, RESULT_FIELDS, Record, document
from nanoos.writers.writer import Add

if TYPE_CHECKING:
    import pyarrow

_RESULT_KINDS = {name: kind for name, kind, _ in RESULT_FIELDS}
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
        with ExitStack() as open_:

            def begin(record: Record | None) -> _Group:
                schema = _schema(record)
                table = open_.enter_context(Table(path, schema, compression="zstd"))
                return _Group(table, schema)

            group: _Group | None = None

            def add(record: Record) -> None:
                nonlocal group
                group = group or begin(record)
                group.add(record)

            yield add
            (group or begin(None)).write()


class _Group:
    """Rows that are written together."""

    def __init__(self, table: Any, schema: pyarrow.Schema) -> None:
        self._table = table
        self._schema = schema
        self._rows: list[dict[str, Any]] = []
        self._sites = 0

    def add(self, record: Record) -> None:
        row = document(record)
        row["extra"], row["citation"] = _text(row["extra"]), _text(row["citation"])
        for name, value in row.pop("result", {}).items():
            is_object = _RESULT_KINDS.get(name) == "object"
            row[f"result_{name}"] = _text(value) if is_object else value
        self._rows.append(row)
        self._sites += record.structure.n_sites
        if len(self._rows) >= _ROWS or self._sites >= _SITES:
            self.write()

    def write(self) -> None:
        import pyarrow

        if self._rows:
            self._table.write_table(pyarrow.Table.from_pylist(self._rows, self._schema))
        self._rows, self._sites = [], 0


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=plain)


def _schema(first: Record | None) -> pyarrow.Schema:
    """Return the columns, each with its description; objects are JSON in text.

    What is said of results, where there are any, has ``result_`` before its name.
    """
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
    result = {} if first is None or first.result is None else first.result
    descriptions = {name: description for name, _, description in RESULT_FIELDS}
    columns += [
        pa.field(
            f"result_{name}",
            types[_RESULT_KINDS.get(name, "number")],
            metadata={"description": descriptions.get(name, "Quantity, with its unit")},
        )
        for name in result
    ]
    return pa.schema(columns)
