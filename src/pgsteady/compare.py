"""Two catalogs side by side: the live database, and what was expected of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pgsteady.catalog import Catalog, Key

Change = Literal["missing", "extra", "renamed", "changed"]

DEFINITIONS = {"definition", "index"}
"""Facts that name the object they are of."""


@dataclass(frozen=True)
class Difference:
    """One respect in which the live database is not as expected.

    An object is ``missing`` from it, ``extra``, or ``changed`` in one ``fact``; ``live`` and
    ``expected`` are what PostgreSQL says of it. A ``renamed`` object is called ``live``
    instead.
    """

    key: Key
    change: Change
    fact: str = ""
    live: str = ""
    expected: str = ""


def differences(live: Catalog, expected: Catalog) -> list[Difference]:
    """Return how ``live`` differs from ``expected``, an object's parts after the object.

    The parts of a table that is missing or extra are not listed one by one.
    """
    found = list(_differences(live, expected))
    gone = {(d.key.schema, d.key.name) for d in found if _is_whole(d) and not d.key.table}
    listed = [d for d in found if not d.key.table or (d.key.schema, d.key.table) not in gone]
    return sorted(listed, key=lambda d: (d.key.schema, d.key.table or d.key.name, d.key, d.fact))


def _differences(live: Catalog, expected: Catalog) -> Iterator[Difference]:
    renamed = _renamed(live, expected)
    for called, key in renamed.items():
        yield Difference(key, "renamed", live=called.name, expected=key.name)
    for key, facts in expected.items():
        if key in renamed.values():
            continue
        if key not in live:
            yield Difference(key, "missing", expected=summary(key, expected))
            continue
        for fact in facts.keys() | live[key].keys():
            now, then = live[key].get(fact, ""), facts.get(fact, "")
            if now != then and not _follows(key, fact, live, expected):
                yield Difference(key, "changed", fact, now, then)
    for key in live.keys() - expected.keys() - renamed.keys():
        yield Difference(key, "extra", live=summary(key, live))


def summary(key: Key, catalog: Catalog) -> str:
    """Say what an object is, in one text."""
    facts = catalog[key]
    if key.kind == "table":
        columns = (k for k in catalog if k.kind == "column" and k[1:3] == (key.schema, key.name))
        return ", ".join(f"{column.name} {catalog[column]['type']}" for column in columns)
    if key.kind == "column":
        said = [facts[fact] for fact in ("type", "null") if fact in facts]
        return " ".join([*said, *(f"DEFAULT {facts[f]}" for f in ("default",) if f in facts)])
    return facts.get("definition") or facts.get("labels") or facts.get("type", "")


def _is_whole(difference: Difference) -> bool:
    return difference.change in {"missing", "extra"}


def _follows(key: Key, fact: str, live: Catalog, expected: Catalog) -> bool:
    """Tell whether a fact differs only because another does, which is reported."""
    if key.kind == "constraint" and fact == "index":
        return live[key].get("definition") != expected[key].get("definition")
    return False


def _renamed(live: Catalog, expected: Catalog) -> dict[Key, Key]:
    """Return which indexes and constraints are as expected but for their names."""
    extra: dict[tuple[object, ...], list[Key]] = {}
    for key in live.keys() - expected.keys():
        if key.kind in {"index", "constraint"}:
            extra.setdefault(_nameless(key, live), []).append(key)
    found = {}
    for key in sorted(expected.keys() - live.keys()):
        if key.kind in {"index", "constraint"} and (same := extra.get(_nameless(key, expected))):
            found[same.pop()] = key
    return found


def _nameless(key: Key, catalog: Catalog) -> tuple[object, ...]:
    facts = {
        fact: said.replace(key.name, "?", 1) if fact in DEFINITIONS else said
        for fact, said in catalog[key].items()
    }
    return (*key[:3], tuple(sorted(facts.items())))
