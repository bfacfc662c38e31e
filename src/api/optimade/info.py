"""What the interface says of itself: /info, /info/structures, /info/references, /links."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import optimade.filterparser

from api.optimade.documents import API_VERSION
from api.optimade.properties import Entries, Property
from api.settings import settings

ENTRY_TYPES = ("structures", "references")
_FORMATS = ["json"]
_EXAMPLE = "exmpl"  # of the standard's texts, never of a real database
_PROVIDERS = "https://providers.optimade.org"


@lru_cache(maxsize=1)
def known_prefixes() -> frozenset[str]:
    """Return the prefixes of real providers, from the list that comes with ``optimade``."""
    folder = Path(optimade.filterparser.__file__).parents[1] / "server" / "data"
    listed = json.loads((folder / "providers.json").read_text())["data"]
    return frozenset(one["id"] for one in listed) - {_EXAMPLE}


def base(url: str) -> dict[str, Any]:
    """Return the answer of /info."""
    return {
        "id": "/",
        "type": "info",
        "attributes": {
            "api_version": API_VERSION,
            "available_api_versions": [{"url": f"{url}/v1/", "version": API_VERSION}],
            "formats": _FORMATS,
            "available_endpoints": ["info", "links", *ENTRY_TYPES],
            "entry_types_by_format": {"json": list(ENTRY_TYPES)},
            "is_index": False,
            "license": None,
            "available_licenses": None,
            "available_licenses_for_entries": None,
        },
    }


def entry(entries: Entries) -> dict[str, Any]:
    """Return the answer of /info/structures or /info/references."""
    return {
        "id": entries.type,
        "type": "info",
        "description": entries.description,
        "formats": _FORMATS,
        "properties": {name: _described(one) for name, one in entries.properties.items()},
        "output_fields_by_format": {"json": list(entries.properties)},
    }


def _described(one: Property) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": one.description,
        "type": one.kind.optimade,
        "sortable": one.is_sortable,
    }
    return described | ({"unit": one.unit} if one.unit else {})


def links(url: str) -> list[dict[str, Any]]:
    """Return the answer of /links: this database is its provider's only one, and its root."""
    root = _link(
        settings().optimade_prefix,
        "root",
        settings().optimade_provider,
        settings().optimade_description,
        url,
    )
    providers = _link(
        "optimade", "providers", "OPTIMADE", "The providers of OPTIMADE databases.", _PROVIDERS
    )
    return [root, providers]


def _link(id_: str, kind: str, name: str, description: str, url: str) -> dict[str, Any]:
    return {
        "id": id_,
        "type": "links",
        "attributes": {
            "name": name,
            "description": description,
            "base_url": url,
            "homepage": None,
            "link_type": kind,
        },
    }
