"""Parameters as they are typed: NAME=VALUE, several values, and names within names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import product
from typing import Any


def parameter(option: str, text: str) -> tuple[str, Any]:
    """Split NAME=VALUE; a value that is JSON (a number, true, a list) is taken as such.

    Raises WrongUsage where there is no name.
    """
    name, value = _split(option, text)
    return name, _read(value)


def combinations(option: str, texts: Sequence[str]) -> list[dict[str, Any]]:
    """Return the parameters of each combination of the values that are given.

    ``fmax=0.01,0.05`` are two values, ``fixed_atoms=[0,1]`` is one, a list, and ``name="a,b"``
    one, a text. ``relax.fmax=0.01`` is the ``fmax`` of ``relax``. Raises WrongUsage where there is
    no name.
    """
    values: dict[str, list[Any]] = {}
    for text in texts:
        name, value = _split(option, text)
        whole = _read(value)
        is_list = isinstance(whole, str) and "," in whole and not value.startswith('"')
        values[name] = [_read(part) for part in value.split(",")] if is_list else [whole]
    return [
        _nested(option, dict(zip(values, chosen, strict=True)))
        for chosen in product(*values.values())
    ]


def _split(option: str, text: str) -> tuple[str, str]:
    from api.errors import WrongUsage

    name, separator, value = text.partition("=")
    if not (name and separator):
        raise WrongUsage(f"{option} {text}: write NAME=VALUE.")
    return name, value


def _read(value: str) -> Any:
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def _nested(option: str, parameters: dict[str, Any]) -> dict[str, Any]:
    from api.errors import WrongUsage

    nested: dict[str, Any] = {}
    for name, value in parameters.items():
        *outer, last = name.split(".")
        inner = nested
        for one in outer:
            inner = inner.setdefault(one, {})
            if not isinstance(inner, dict):
                raise WrongUsage(f"{option} {name}: {one} is given as a whole, too.")
        inner[last] = value
    return nested
