"""Findings that are mended in one way, said together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from pgsteady.finding import Finding

NAMED = 3
"""How many objects, or messages, stand for all of a kind."""


def gathered(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings for people to read: of one code and cure only the first few, counted.

    Those that say the same of several objects become one that names them, in natural order;
    the cure stands below the last one of its kind.
    """
    kinds: dict[tuple[str, str, str], list[Finding]] = {}
    for one in findings:
        kinds.setdefault((one.severity, one.code, one.cure), []).append(one)
    return [said for kind in kinds.values() for said in _of_one_kind(kind)]


def _of_one_kind(kind: Sequence[Finding]) -> Iterator[Finding]:
    messages: dict[str, list[Finding]] = {}
    for one in sorted(kind, key=lambda one: _natural(one.object)):
        messages.setdefault(one.message, []).append(one)
    alike = list(messages.values())
    said = [_together(same) for same in alike[:NAMED]]
    if rest := sum(len(same) for same in alike[NAMED:]):
        said.append(replace(said[-1], object=f"{rest} more", message="likewise", sql="", file=None))
    yield from (replace(one, cure="") for one in said[:-1])
    yield said[-1]


def _together(same: Sequence[Finding]) -> Finding:
    objects = list(dict.fromkeys(one.object for one in same))
    rest = len(objects) - NAMED
    named = ", ".join(objects[:NAMED]) + (f" and {rest} more" if rest > 0 else "")
    mended = dict.fromkeys(one.sql for one in same[:NAMED] if one.sql)
    return replace(same[0], object=named, sql="\n".join(mended))


def _natural(name: str) -> list[str | int]:
    """Return a key by which 2 comes before 10."""
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if place % 2 else part for place, part in enumerate(parts)]
