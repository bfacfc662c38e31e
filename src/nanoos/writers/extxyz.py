"""Extended XYZ, one frame a structure. Format: https://github.com/libAtoms/extxyz."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

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
    pairs.append("Properties=species:S:1:pos:R:3")
    pairs.append(f'pbc="{" ".join("FT"[p] for p in structure.periodic)}"')
    said = {"name": record.known["name"]} if record.known.get("name") else {}
    said |= record.extra
    pairs += [f"{key}={_value(value)}" for key, value in said.items()]
    lines = [str(structure.n_sites), " ".join(pairs)]
    lines += [
        f"{symbol} {digits(position)}"
        for symbol, position in zip(symbols, structure.positions_a, strict=True)
    ]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    """Return a value so that ASE reads it back with its type: as JSON."""
    escaped = json.dumps(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"_JSON {escaped}"'
