"""Pages of entries and single entries: from the query to the answer."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Request
from sqlalchemy import true
from sqlalchemy.ext.asyncio import AsyncSession

from api.models import Structure
from api.optimade import references
from api.optimade.documents import Answer, Document, answer, endpoint, meta, resource, version_in
from api.optimade.filters import Filter
from api.optimade.info import known_prefixes
from api.optimade.paging import order
from api.optimade.properties import Entries
from api.optimade.request import (
    ListQuery,
    SingleQuery,
    check_format,
    check_hint,
    fields,
    unknown_parameters,
)
from api.services import published

_UNCOUNTED = (
    f"More than {published.COUNTED_EXACTLY:,} entries match; they are not counted, so data_returned"
    " is left out."
)
TOTAL_KNOWN_S = 60.0
"""How long the number of all entries is good for."""

_CITED = "cited"


async def many(
    request: Request, session: AsyncSession, entries: Entries, query: ListQuery
) -> Answer:
    """Return a page of the entries that match the filter."""
    query.check()
    check_format(query)
    check_hint(query, version_in(request))
    ignored = unknown_parameters(request.query_params, entries)
    names, foreign = fields(query, entries)
    wanted = Filter(query.filter, entries)
    sorting = order(query.sort, entries)
    if query.page_cursor is not None:
        sorting = sorting.from_cursor(query.page_cursor)
    warnings = [
        *_warned("query parameter", ignored),
        *_warned("property", [*wanted.foreign, *foreign]),
    ]
    known: Document = {"data_available": await _available(request, session, entries)}
    page: dict[str, int] = {"limit": query.page_limit + 1, "offset": query.offset}
    if wanted.is_empty:
        keys = await published.walk(session, entries.source, true(), sorting, **page)
        known["data_returned"] = known["data_available"]
    else:
        found = await published.find(session, entries.source, wanted.condition, sorting, **page)
        keys = found.keys
        if found.number is not None:
            known["data_returned"] = found.number
        else:
            warnings.append(_UNCOUNTED)
    more = len(keys) > query.page_limit
    keys = keys[: query.page_limit]
    shown = await published.read(
        session, entries.source, columns(entries, names), [key[-1] for key in keys]
    )
    if shown:
        known["last_id"] = str(shown[-1]["id"])
    following = _next(request, query, entries, sorting.cursor(keys[-1])) if more else None
    return answer(
        request,
        [resource(entries, names, row, row.get(_CITED)) for row in shown],
        told=meta(request, warnings, more=more, **known),
        links={"next": following},
        **await _included(session, query, shown),
    )


async def one(
    request: Request, session: AsyncSession, entries: Entries, id_: str, query: SingleQuery
) -> Answer:
    """Return the entry of that identifier; null where there is none, as the standard says."""
    check_format(query)
    check_hint(query, version_in(request))
    names, foreign = fields(query, entries)
    uuid = _uuid(id_)
    shown = await published.read(
        session, entries.source, columns(entries, names), [uuid] if uuid else []
    )
    known: Document = {
        "data_returned": len(shown),
        "data_available": await _available(request, session, entries),
    }
    return answer(
        request,
        resource(entries, names, shown[0], shown[0].get(_CITED)) if shown else None,
        told=meta(request, _warned("property", foreign), **known),
        **await _included(session, query, shown),
    )


def columns(entries: Entries, names: Iterable[str]) -> list[Any]:
    """Return the columns that `documents.resource` makes an entry of."""
    known = (entries.properties.get(name) for name in names)
    values = [found.labelled(found.name) for found in known if found is not None]
    if entries.source is Structure:
        values.append(Structure.citation_id.label(_CITED))
    return [entries.source.id.label("id"), *values]


def _warned(what: str, names: Iterable[str]) -> list[str]:
    """Return a warning for each name but those of known providers, for which none is due."""
    return [
        f"The {what} {name} belongs to another database; it is taken as unknown."
        for name in dict.fromkeys(names)
        if name.split("_")[1] not in known_prefixes()
    ]


def _next(request: Request, query: ListQuery, entries: Entries, cursor: str) -> str:
    kept = query.model_dump(exclude_unset=True, exclude={"page_offset", "page_number"})
    return f"{endpoint(request, entries.type)}?{urlencode(kept | {'page_cursor': cursor})}"


async def _available(request: Request, session: AsyncSession, entries: Entries) -> int:
    """Return the number of all entries, counted at most once in ``TOTAL_KNOWN_S``."""
    totals: dict[str, tuple[float, int]] = request.app.state.totals
    counted_at_s, number = totals.get(entries.type, (float("-inf"), 0))
    if time.monotonic() - counted_at_s > TOTAL_KNOWN_S:
        number = await published.total(session, entries.source)
        totals[entries.type] = (time.monotonic(), number)
    return number


async def _included(
    session: AsyncSession, query: SingleQuery, shown: Sequence[Mapping[str, Any]]
) -> Document:
    """Return the references of the entries shown, each once."""
    if query.include != "references":
        return {}
    cited = list(dict.fromkeys(row[_CITED] for row in shown if row.get(_CITED) is not None))
    if not cited:
        return {"included": []}
    entries = references.entries("")
    names, _foreign = fields(SingleQuery(), entries)
    rows = await published.read(session, entries.source, columns(entries, names), cited)
    return {"included": [resource(entries, names, row) for row in rows]}


def _uuid(text: str) -> UUID | None:
    try:
        found = UUID(text)
    except ValueError:
        return None
    return found if str(found) == text else None
