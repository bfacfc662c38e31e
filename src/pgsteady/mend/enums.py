"""Statements that change the labels of an ENUM type."""

from __future__ import annotations

from collections.abc import Iterator

from pgsteady.catalog import Catalog, Facts, Key, quoted
from pgsteady.mend.names import columns_of_type, qualified


def relabel(key: Key, live: Catalog, expected: Catalog, create: list[str]) -> list[str]:
    """Add or rename labels in place; where some have to go, make the type anew.

    ``create`` makes the expected type.
    """
    now, then = (_labels(catalog.get(key, {}).get("labels", "")) for catalog in (live, expected))
    if now and [label for label in then if label in now] == now:
        return list(_added(qualified(key), now, then))
    other = [(a, b) for a, b in zip(now, then, strict=False) if a != b]
    if len(now) == len(then) and len(other) == 1 and other[0][1] not in now:
        return [f"ALTER TYPE {qualified(key)} RENAME VALUE {other[0][0]} TO {other[0][1]}"]
    return _made_anew(key, live, create)


def _made_anew(key: Key, live: Catalog, create: list[str]) -> list[str]:
    """Move columns to a new type; indexes whose expressions name the type are built again."""
    old, cast = f"{key.name}__old", f"::{qualified(key)}"
    indexes = [k for k in live if k.kind == "index" and cast in live[k].get("definition", "")]
    statements = [f"DROP INDEX {qualified(index, index.name)}" for index in indexes]
    statements += [f"ALTER TYPE {qualified(key)} RENAME TO {quoted(old)}", *create]
    for column in columns_of_type(key, live):
        statements += _recast(column, live[column])
    rebuilt = [live[index]["definition"] for index in indexes]
    return [*statements, *rebuilt, f"DROP TYPE {qualified(key, old)}"]


def _added(type_: str, now: list[str], then: list[str]) -> Iterator[str]:
    for place, label in enumerate(then):
        if label not in now:
            where = f"AFTER {then[place - 1]}" if place else f"BEFORE {now[0]}"
            yield f"ALTER TYPE {type_} ADD VALUE {label} {where}"


def _recast(key: Key, facts: Facts) -> list[str]:
    """Move a column to the new type; a row with a label that is gone makes this fail."""
    column = f"ALTER TABLE {qualified(key)} ALTER COLUMN {quoted(key.name)}"
    text = "text[]" if facts["type"].endswith("[]") else "text"
    cast = f"{column} TYPE {facts['type']} USING {quoted(key.name)}::{text}::{facts['type']}"
    if "default" not in facts:
        return [cast]
    return [f"{column} DROP DEFAULT", cast, f"{column} SET DEFAULT {facts['default']}"]


def _labels(text: str) -> list[str]:
    """Split ``'a', 'it''s'`` into its literals."""
    labels: list[str] = []
    for part in text.split(", "):
        if labels and labels[-1].count("'") % 2:
            labels[-1] += f", {part}"
        elif part:
            labels.append(part)
    return labels
