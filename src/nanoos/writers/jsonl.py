"""JSON Lines: one document a structure, with all that is known of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from nanoos.writers.record import Record, document
from nanoos.writers.writer import TextWriter

KIND = {"kind": "structure", "version": 1}
"""What every document begins with, under the key ``nano_os``."""


class JsonLinesWriter(TextWriter):
    """The writer of JSON Lines: fields, units and order are those of `nanoos.writers.FIELDS`."""

    name = "jsonl"
    suffixes = (".jsonl", ".ndjson")

    def encoder(self) -> Callable[[Record], str]:
        """Return what makes one line after another."""
        return _line


def _line(record: Record) -> str:
    values = {"nano_os": KIND} | document(record)
    return json.dumps(values, ensure_ascii=False, allow_nan=False, default=plain) + "\n"


def plain(value: Any) -> str:
    """Return what JSON has no type for: a time by RFC 3339 in UTC, an identifier as text."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value)
