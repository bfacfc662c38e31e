"""OPTIMADE's JSON Lines for the exchange of databases: what the endpoints answer, in one file.

OPTIMADE 1.3, appendix "The OPTIMADE JSON Lines Format for Database Exchange": a header, what
the provider says of itself, the answers of /info, and a line an entry.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy.orm import InstrumentedAttribute

from api.optimade import info, references, structures
from api.optimade.documents import API_VERSION
from api.optimade.properties import Entries, in_json
from api.settings import settings
from nanoos.writers import Record, TextWriter, document


class OptimadeJsonLinesWriter(TextWriter):
    """The writer of OPTIMADE's JSON Lines: properties are those of ``/optimade/v1``."""

    name = "optimade-jsonl"
    suffixes: tuple[str, ...] = (".optimade.jsonl",)

    def head(self) -> str:
        """Return header, provider, and what the entries have."""
        prefix = settings().optimade_prefix
        base = info.base("")
        base["attributes"]["available_api_versions"] = [API_VERSION]
        provider = {
            "name": settings().optimade_provider,
            "description": settings().optimade_description,
            "prefix": prefix,
        }
        lines: list[Mapping[str, Any]] = [
            {"x-optimade": {"api_version": API_VERSION, "meta": {"api_version": API_VERSION}}},
            {"meta": {"api_version": API_VERSION, "provider": provider}},
            base,
            info.entry(references.entries(prefix)),
            info.entry(structures.entries(prefix)),
        ]
        return "".join(map(_line, lines))

    def encoder(self) -> Callable[[Record], str]:
        """Return what makes the lines of a structure, after its publication where that is new."""
        entries = structures.entries(settings().optimade_prefix)
        written: set[str] = set()

        def encode(record: Record) -> str:
            reference = _reference(record)
            text = ""
            if reference is not None and reference["id"] not in written:
                written.add(reference["id"])
                text = _line(reference)
            return text + _line(_structure(record, entries, reference))

        return encode


def _structure(
    record: Record, entries: Entries, reference: Mapping[str, Any] | None
) -> dict[str, Any]:
    values = document(record)
    attributes = {
        name: None if value is None else in_json(one.show(value))
        for name, one in entries.properties.items()
        if name not in {"id", "type"}
        for value in [_value(name, one.sql, values)]
    }
    entry: dict[str, Any] = {"type": entries.type, "id": values["id"], "attributes": attributes}
    if reference is not None:
        cited = {"type": reference["type"], "id": reference["id"]}
        entry["relationships"] = {"references": {"data": [cited]}}
    return entry


def _value(name: str, sql: Any, values: Mapping[str, Any]) -> Any:
    """Return a property's value: a column's is that of the record; the others are few."""
    if isinstance(sql, InstrumentedAttribute):
        return values.get(sql.key)
    if name == "structure_features":
        return [] if values["is_ordered"] else ["disorder"]
    if name == "chemical_formula_hill":
        return values["hill_formula"] if values["is_ordered"] else None
    return None


def _reference(record: Record) -> dict[str, Any] | None:
    """Return the publication as an entry of type references."""
    citation = record.citation
    if not citation:
        return None
    identity = json.dumps(citation, sort_keys=True, default=str).encode()
    pages = [str(citation[key]) for key in ("page_first", "page_last") if citation.get(key)]
    stated = {
        "authors": [{"name": name} for name in citation.get("authors", [])],
        "title": citation.get("title"),
        "journal": citation.get("journal"),
        "volume": citation.get("volume"),
        "pages": "--".join(pages) or None,
        "year": str(citation["year"]) if citation.get("year") else None,
        "doi": citation.get("doi"),
        "bib_type": "article" if citation.get("journal") else "misc",
    }
    id_ = record.known.get("citation_id") or hashlib.sha256(identity).hexdigest()
    return {
        "type": "references",
        "id": str(id_),
        "attributes": {"last_modified": None, "immutable_id": str(id_)} | stated,
    }


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"
