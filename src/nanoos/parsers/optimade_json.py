"""OPTIMADE's JSON: a response, one entry, or JSON Lines of entries.

OPTIMADE 1.2 and 1.3: "JSON Response Schema", and "The OPTIMADE JSON Lines Format for Database
Exchange". Licence, provider and publications come from ``meta``, the base info and the
references where the file has them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from nanoos.errors import ParseError, StructureError
from nanoos.parsers.json_text import documents, dumps
from nanoos.parsers.occupancy import ALTERNATIVE_GROUPS, disorder_of
from nanoos.parsers.optimade_entry import structure_of
from nanoos.parsers.parser import Parsed, Rejected
from nanoos.parsers.plain import clean, plain
from nanoos.parsers.source import Source

_SIGNS = re.compile(
    rb'"(?:x-optimade|api_version|cartesian_site_positions|species_at_sites)"\s*:'
    rb'|"type"\s*:\s*"structures"'
)
OWN_LICENCE = re.compile(r"_[a-z0-9]+_licen[cs]e")
"""The name of a provider's field with the licence of a single entry; the standard has none."""

_STATED = {
    "stated_formula": ("chemical_formula_descriptive", "chemical_formula_reduced"),
    "stated_space_group": ("space_group_symbol_hermann_mauguin",),
}
_KEPT = ("immutable_id", "last_modified", "structure_features", "assemblies", "optimization_type")
_MAX_FIELD_CHARACTERS = 10_000  # of a field of the provider's own
_MAX_REFERENCES = 200_000


class OptimadeJson:
    """The parser of OPTIMADE's JSON."""

    name = "optimade"

    def recognises(self, head: bytes, filename: str) -> bool:
        """JSON with the version of the API, or a structure entry, near its beginning."""
        is_json = head.lstrip()[:1] in (b"{", b"[")
        return is_json and (_SIGNS.search(head) is not None or "optimade" in filename.lower())

    def parse(self, source: Source) -> Iterator[Parsed | Rejected]:
        """Yield every structure entry; JSON Lines are gone through twice, for the references."""
        about = _About()
        values = documents(source)
        first = next(values)
        for _, value in chain([first], values):
            about.learn(value)
        number = 0
        for line, value in [first] if first[0] is None else documents(source):
            for entry in _entries(value):
                number += 1
                yield _read(entry, about, line)
        if not number:
            raise ParseError(f"The response holds no structure{about.trouble}.")


@dataclass
class _About:
    """What a file says of all its entries."""

    database: str = ""
    licence: str = ""
    citations: dict[str, dict[str, Any]] = field(default_factory=dict)
    trouble: str = ""

    def learn(self, value: Any) -> None:
        """Take over what a response, or an object of one, says."""
        if isinstance(value, list):
            for one in value:
                self.learn(one)
        if not isinstance(value, dict):
            return
        if isinstance(value.get("meta"), dict):
            self._learn_provider(value["meta"].get("provider"))
        errors = value.get("errors")
        for error in errors if isinstance(errors, list) else ():
            if isinstance(error, dict) and not self.trouble:
                self.trouble = f": {plain(error.get('detail') or error.get('title'))}"
        attributes = value.get("attributes")
        if isinstance(attributes, dict) and value.get("type") == "info":
            self.licence = self.licence or _licence(attributes)
        elif isinstance(attributes, dict) and value.get("type") == "references":
            if len(self.citations) < _MAX_REFERENCES:
                self.citations[str(value.get("id"))] = citation(attributes)
        else:
            self.learn(value.get("data"))
            self.learn(value.get("included"))

    def _learn_provider(self, provider: Any) -> None:
        if isinstance(provider, dict):
            name = provider.get("prefix") or provider.get("name")
            self.database = self.database or clean(str(name or "")).lstrip("_")


def _licence(attributes: dict[str, Any]) -> str:
    """Return the SPDX expression of the licences to choose from, or the link to a text."""
    names = (attributes.get(f"available_licenses{of}") for of in ("", "_for_entries"))
    licences = [one for listed in names if isinstance(listed, list) for one in listed]
    if licences:
        return " OR ".join(dict.fromkeys(clean(str(one)) for one in licences))
    link = attributes.get("license")
    link = link.get("href") if isinstance(link, dict) else link
    return clean(link) if isinstance(link, str) else ""


def citation(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return the ``citation`` of `Parsed` for the attributes of a reference (BibTeX's names)."""
    authors = attributes.get("authors")
    found: dict[str, Any] = {
        "authors": [_author(one) for one in authors if isinstance(one, dict)]
        if isinstance(authors, list)
        else []
    }
    for key in ("title", "journal", "volume", "doi"):
        found[key] = clean(" ".join(str(attributes.get(key) or "").split()))
    first, _, last = str(attributes.get("pages") or "").partition("-")
    found |= {"page_first": clean(first.strip()), "page_last": clean(last.strip("-– "))}
    year = str(attributes.get("year") or "")
    found["year"] = int(year) if re.fullmatch(r"\d{4}", year) else None
    return {key: value for key, value in found.items() if value}


def _author(author: dict[str, Any]) -> str:
    parts = author.get("name") or f"{author.get('lastname', '')} {author.get('firstname', '')}"
    return clean(" ".join(str(parts).split()))


def _entries(value: Any) -> Iterator[Any]:
    """Yield the structure entries of a response, or what stands in their place."""
    if isinstance(value, ParseError):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _entries(one)
    elif isinstance(value, dict) and value.get("type") == "structures":
        yield value
    elif isinstance(value, dict) and "type" not in value:
        yield from _entries(value.get("data"))


def _read(entry: Any, about: _About, line: int | None) -> Parsed | Rejected:
    if isinstance(entry, ParseError):
        return Rejected(entry)
    attributes = entry.get("attributes")
    try:
        if not isinstance(attributes, dict):
            raise ParseError("It has no attributes.")
        structure = structure_of(attributes)
        extra = _extra(entry, attributes, about)
        groups = [ALTERNATIVE_GROUPS] if attributes.get("assemblies") else []
        if disorder := disorder_of(structure) + groups:
            extra["disorder"] = disorder
        return Parsed(structure, _name(entry, about), extra, dumps(entry))
    except (ParseError, StructureError) as error:
        return Rejected(ParseError(f"Entry {plain(entry.get('id'))}: {error}", line=line))


def _name(entry: dict[str, Any], about: _About) -> str:
    return clean("/".join(part for part in (about.database, str(entry.get("id") or "")) if part))


def _extra(entry: dict[str, Any], attributes: dict[str, Any], about: _About) -> dict[str, Any]:
    """Return where the entry comes from, and what it says beside the structure."""
    extra: dict[str, Any] = {
        "database": about.database,
        "database_code": clean(str(entry.get("id") or "")),
        "licence": about.licence,
    }
    cited = _cited(entry, about)
    extra |= {"citation": cited[0] if cited else None, "further_citations": cited[1:]}
    for key, names in _STATED.items():
        stated = (attributes[name] for name in names if isinstance(attributes.get(name), str))
        extra[key] = clean(next(stated, ""))
    extra |= {key: plain(attributes.get(key)) for key in _KEPT}
    return {key: value for key, value in extra.items() if value} | _own_fields(attributes)


def _own_fields(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return the provider's own fields, but for long ones, and its licence of this entry."""
    found = {}
    for key, value in attributes.items():
        if OWN_LICENCE.fullmatch(key) and isinstance(value, str) and value:
            found["licence"] = clean(value)
        elif key.startswith("_") and len(dumps(value)) <= _MAX_FIELD_CHARACTERS:
            found[clean(key)] = plain(value)
    return found


def _cited(entry: dict[str, Any], about: _About) -> list[dict[str, Any]]:
    related = entry.get("relationships")
    references = related.get("references") if isinstance(related, dict) else None
    linked = references.get("data") if isinstance(references, dict) else None
    linked = linked if isinstance(linked, list) else []
    ids = [str(one.get("id")) for one in linked if isinstance(one, dict)]
    return [about.citations[id_] for id_ in ids if about.citations.get(id_)]
