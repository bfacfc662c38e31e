"""Citations as BibTeX entries, in characters that any LaTeX can set.

O. Patashnik, BibTeXing (1988). Letters with accents become LaTeX's commands; those of other
alphabets stay as they are, in UTF-8.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from string import ascii_lowercase
from typing import Any

_COMMANDS = {
    "\\": r"\textbackslash{}",
    "{": r"\textbraceleft{}",
    "}": r"\textbraceright{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "$&%#_"},
    "ß": r"{\ss}",
    "ø": r"{\o}",
    "Ø": r"{\O}",
    "ł": r"{\l}",
    "Ł": r"{\L}",
    "æ": r"{\ae}",
    "Æ": r"{\AE}",
    "œ": r"{\oe}",
    "Œ": r"{\OE}",
    "ı": r"{\i}",
    "–": "--",
    "—": "---",
}
_ACCENTS = {
    "\N{COMBINING GRAVE ACCENT}": "`",
    "\N{COMBINING ACUTE ACCENT}": "'",
    "\N{COMBINING CIRCUMFLEX ACCENT}": "^",
    "\N{COMBINING TILDE}": "~",
    "\N{COMBINING DIAERESIS}": '"',
    "\N{COMBINING MACRON}": "=",
    "\N{COMBINING DOT ABOVE}": ".",
    "\N{COMBINING RING ABOVE}": "r",
    "\N{COMBINING CARON}": "v",
    "\N{COMBINING CEDILLA}": "c",
    "\N{COMBINING OGONEK}": "k",
    "\N{COMBINING BREVE}": "u",
    "\N{COMBINING DOUBLE ACUTE ACCENT}": "H",
    "\N{COMBINING DOT BELOW}": "d",
}
_PAGES = ("page_first", "page_last")
_FAMILY_FIRST = re.compile(r"(?P<family>\S.*?)(?P<initials>( [A-Z]\.?)+)")


class Bibliography:
    """Gives each publication one key, and its entry the first time."""

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}
        self._taken: set[str] = set()

    def cite(self, citation: Mapping[str, Any]) -> tuple[str, str]:
        """Return the key and, where it is new, the entry, else an empty text.

        ``citation`` is that of `nanoos.parsers.Parsed`'s ``extra``.
        """
        identity = json.dumps(citation, sort_keys=True, default=str)
        if identity in self._keys:
            return self._keys[identity], ""
        key = next(key for key in _keys(citation) if key.lower() not in self._taken)
        self._taken.add(key.lower())
        self._keys[identity] = key
        return key, _entry(key, citation)


def _entry(key: str, citation: Mapping[str, Any]) -> str:
    """Return the entry; a title keeps its capitals, which are often formulas."""
    fields = {
        "author": " and ".join(_author(name) for name in _authors(citation)),
        "title": f"{{{latex(citation['title'])}}}" if citation.get("title") else "",
        "journal": _field(citation, "journal"),
        "volume": _field(citation, "volume"),
        "pages": "--".join(
            filter(None, (_field(citation, f"page_{k}") for k in ("first", "last")))
        ),
        "year": _field(citation, "year"),
        "doi": re.sub(r"[{}\\\s]", "", str(citation.get("doi") or "")),
    }
    kind = "article" if fields["journal"] else "misc"
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@{kind}{{{key},", *lines, "}", ""]) + "\n"


def _keys(citation: Mapping[str, Any]) -> Iterator[str]:
    """Yield keys that would do: Wyckoff1963, Wyckoff1963a …"""
    first = next(iter(_authors(citation)), "")
    family = first.partition(",")[0] if "," in first else _comma(first).partition(",")[0]
    if "," not in _comma(first):
        family = family.split()[-1] if family else ""
    plain = unicodedata.normalize("NFKD", family).encode("ascii", "ignore").decode()
    stem = (re.sub(r"[^A-Za-z]", "", plain) or "Anonymous") + re.sub(
        r"\D", "", str(citation.get("year") or "")
    )
    yield stem
    yield from (stem + letter for letter in ascii_lowercase)
    number = 1
    while True:
        number += 1
        yield f"{stem}-{number}"


def _authors(citation: Mapping[str, Any]) -> list[str]:
    listed = citation.get("authors") or []
    return [" ".join(str(name).split()) for name in listed if str(name).strip()]


def _author(name: str) -> str:
    """Return a name as BibTeX takes it apart, or in braces where it would do so wrongly."""
    ordered = _comma(name)
    is_plain = ordered.count(",") <= 1 and not re.search(r"\band\b", ordered, re.IGNORECASE)
    return latex(ordered) if is_plain else f"{{{latex(ordered)}}}"


def _comma(name: str) -> str:
    """Return ``Wyckoff R W G``, as the AMCSD writes names, with the comma that BibTeX needs."""
    found = None if "," in name else _FAMILY_FIRST.fullmatch(name)
    return f"{found['family']},{found['initials']}" if found else name


def _field(citation: Mapping[str, Any], key: str) -> str:
    return latex(citation.get(key) or "")


def latex(value: Any) -> str:
    """Return text in one line, so that LaTeX sets its characters and BibTeX's braces match."""
    text = unicodedata.normalize("NFC", " ".join(str(value).split()))
    apart = zip(text, text[1:] + " ", strict=False)  # two hyphens would be set as a dash
    return "".join("-{}" if pair == ("-", "-") else _set(pair[0]) for pair in apart)


def _set(character: str) -> str:
    if character in _COMMANDS:
        return _COMMANDS[character]
    parts = unicodedata.normalize("NFD", character)
    if len(parts) == 2 and parts[0].isascii() and parts[1] in _ACCENTS:
        return f"{{\\{_ACCENTS[parts[1]]}{{{parts[0]}}}}}"
    return character if character.isprintable() else ""
