"""Durations as people type them: ``90``, ``5s``, ``10m``, ``2h``."""

from __future__ import annotations

import re

import typer

UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def seconds(duration: str) -> float:
    """Return the seconds that ``duration`` stands for."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([smh]?)", str(duration).strip())
    if not found:
        raise typer.BadParameter(f"{duration!r} is no duration; write 90, 5s, 10m or 2h.")
    return float(found[1]) * UNITS[found[2]]
