"""Why a query cannot be read, in our own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MEANT: Mapping[str, str] = {
    "float": "no number",
    "int": "no whole number",
    "datetime": "no date; write 2026-01-31 or 2026-01-31T12:00",
    "uuid": "no id; copy it from `nano-os structures search`",
    "bool": "neither true nor false",
    "string_pattern": "no beginning of an id; write some of its digits, 0 to 9 and a to f",
    "string_too_short": "no text to look for",
    "tuple": "no list",
}
"""What a value is, by how the kind of pydantic's error begins."""


def refusal(named: str, given: str, error: Mapping[str, Any]) -> str:
    """Return a sentence that says why a value is refused.

    ``named`` is how it was given, such as ``--density heavy``; ``given`` the value alone, which
    is not repeated; ``error`` the first of a ValidationError's ``errors()``.
    """
    cause = _cause(error)
    for repeated in (f"{given!r}:", repr(given), f"{given}:"):
        if cause.startswith(f"{repeated} "):
            colon = ":" if repeated.endswith(":") else ""
            return _ended(f"{named}{colon}{cause.removeprefix(repeated)}")
    return _ended(f"{named}: {cause}")


def _cause(error: Mapping[str, Any]) -> str:
    kind = str(error["type"])
    if kind == "literal_error":
        return f"{error['input']!r} is none of {_plain(error['ctx']['expected'])}"
    for begins, meant in _MEANT.items():
        if kind.startswith(begins):
            return f"{error['input']!r} is {meant}"
    return str(error["msg"]).removeprefix("Value error, ")


def _plain(expected: str) -> str:
    """Return ``private, public`` of ``'private' or 'public'``."""
    return expected.replace("'", "").replace(" or ", ", ")


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "?")) else f"{sentence}."
