"""The entries of type ``references``: the publications that public structures come from."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from optimade.models import ReferenceResourceAttributes
from sqlalchemy import Text, case, cast, func, literal

from api.models import Citation
from api.optimade.comparisons import Kind
from api.optimade.properties import Entries, Property, by_name, standard


def _standard(name: str, kind: Kind, sql: Any = None, **more: Any) -> Property:
    return standard(ReferenceResourceAttributes, name, kind, sql, **more)


def _persons(names: list[str]) -> list[dict[str, str]]:
    return [{"name": name} for name in names]


_NEVER_KNOWN = by_name(
    *(
        _standard(name, Kind.LIST if name == "editors" else Kind.STRING)
        for name in ReferenceResourceAttributes.model_fields
    )
)
_PAGES = Citation.page_first + func.coalesce("--" + Citation.page_last, "")
_PROPERTIES = _NEVER_KNOWN | by_name(
    Property("id", Kind.IDENTIFIER, Citation.id, "The entry's identifier."),
    Property("type", Kind.STRING, literal("references", Text), "Always references."),
    _standard("immutable_id", Kind.IDENTIFIER, Citation.id),
    _standard("last_modified", Kind.TIMESTAMP, Citation.created_at),
    _standard(
        "authors",
        Kind.LIST,
        Citation.authors,
        length=func.cardinality(Citation.authors),
        show=_persons,
    ),
    _standard("title", Kind.STRING, Citation.title),
    _standard("journal", Kind.STRING, Citation.journal),
    _standard("volume", Kind.STRING, Citation.volume),
    _standard("pages", Kind.STRING, _PAGES),
    _standard("year", Kind.STRING, cast(Citation.year, Text)),
    _standard("doi", Kind.STRING, Citation.doi),
    _standard(
        "bib_type",
        Kind.STRING,
        case((Citation.journal.is_not(None), "article"), else_="misc"),
    ),
)
_HIDDEN = by_name(
    Property(
        "authors.name",
        Kind.LIST,
        Citation.authors,
        item=Kind.STRING,
        length=func.cardinality(Citation.authors),
    ),
)


@lru_cache(maxsize=4)
def entries(prefix: str) -> Entries:
    """Return the entries; none of their properties is our own."""
    return Entries(
        type="references",
        description="Publications that structures come from.",
        source=Citation,
        prefix=prefix,
        properties=_PROPERTIES,
        hidden=_HIDDEN,
    )
