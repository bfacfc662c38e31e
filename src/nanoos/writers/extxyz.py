"""Extended XYZ, one frame a structure. Format: https://github.com/libAtoms/extxyz."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from nanoos.writers.calculated import calculated, said
from nanoos.writers.numbers import digits
from nanoos.writers.record import Record
from nanoos.writers.writer import TextWriter


class ExtendedXyzWriter(TextWriter):
    """The writer of extended XYZ files."""

    name = "extxyz"
    suffixes = (".extxyz", ".xyz")

    def encoder(self) -> Callable[[Record], str]:
        """Return what makes one frame after another."""
        return _frame


def _frame(record: Record) -> str:
    structure, pairs = record.structure, []
    symbols = structure.symbols
    if structure.lattice_a is not None:
        pairs.append(f'Lattice="{digits(structure.lattice_a.ravel())}"')
    numbers = calculated(record)
    columns = [structure.positions_a]
    properties = "Properties=species:S:1:pos:R:3"
    for name in ("forces", "magmoms"):
        if name in numbers:
            columns.append(np.asarray(numbers.pop(name)).reshape(structure.n_sites, -1))
            properties += f":{name}:R:{columns[-1].shape[1]}"
    pairs.append(properties)
    pairs += [f'{name}="{digits(np.ravel(value))}"' for name, value in numbers.items()]
    pairs.append(f'pbc="{" ".join("FT"[p] for p in structure.periodic)}"')
    known: dict[str, Any] = {"name": record.known["name"]} if record.known.get("name") else {}
    known |= {**record.extra, **said(record)}
    pairs += [f"{key}={_value(value)}" for key, value in known.items() if key not in numbers]
    lines = [str(structure.n_sites), " ".join(pairs)]
    lines += [
        f"{symbol} {digits(row)}" for symbol, row in zip(symbols, np.hstack(columns), strict=True)
    ]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    """Return a value so that ASE reads it back with its type: as JSON."""
    escaped = json.dumps(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"_JSON {escaped}"'
