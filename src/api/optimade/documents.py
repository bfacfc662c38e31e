"""The JSON of answers: what OPTIMADE 1.2 asks of each beside its data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse

from api.db import code_version
from api.errors import outcome
from api.optimade.properties import Entries, in_json, utc_second
from api.settings import settings

API_VERSION = "1.2.0"
MEDIA_TYPE = "application/vnd.api+json"
VERSIONS = ("v1", "v1.2", "v1.2.0")
"""What may stand before an endpoint; nothing may, too."""

Document = dict[str, Any]


class Answer(JSONResponse):
    """A response in JSON:API."""

    media_type = MEDIA_TYPE


def version_in(request: Request) -> str:
    """Return the version in the request's address, or nothing."""
    path = request.url.path.removeprefix(request.scope["root_path"])
    first = path.strip("/").partition("/")[0]
    return first if first in VERSIONS else ""


def base_url(request: Request) -> str:
    """Return the address below which the versions are."""
    asked = request.url.replace(path=request.scope["root_path"], query="")
    return (settings().optimade_base_url or str(asked)).rstrip("/")


def endpoint(request: Request, path: str) -> str:
    """Return the address of an endpoint, in the request's version."""
    return "/".join(filter(None, (base_url(request), version_in(request), path)))


def meta(
    request: Request, warnings: Iterable[str] = (), *, more: bool = False, **known: Any
) -> Document:
    """Return what an answer says of itself."""
    path = request.url.path.removeprefix(request.scope["root_path"])
    version = version_in(request)
    asked = f"?{request.url.query}" if request.url.query else ""
    told = [{"type": "warning", "title": "Warning", "detail": one} for one in warnings]
    provider = {
        "name": settings().optimade_provider,
        "description": settings().optimade_description,
        "prefix": settings().optimade_prefix,
    }
    return {
        "query": {"representation": path.removeprefix(f"/{version}" if version else "") + asked},
        "api_version": API_VERSION,
        "time_stamp": utc_second(datetime.now(UTC)),
        "more_data_available": more,
        "provider": provider,
        "implementation": {"name": "NANO-OS", "version": code_version()},
        "schema": f"{base_url(request)}/openapi.json",
        **known,
        **({"warnings": told} if told else {}),
    }


def answer(request: Request, data: Any, *, told: Document, **more: Any) -> Answer:
    """Return a whole answer; ``told`` is its `meta`."""
    jsonapi = {"version": "1.1", "meta": {"api": "OPTIMADE", "api-version": API_VERSION}}
    document = {"jsonapi": jsonapi, "meta": told, "data": data, **more}
    document.setdefault("links", {}).setdefault("base_url", base_url(request))
    return Answer(document)


def resource(
    entries: Entries, names: Sequence[str], row: Mapping[str, Any], cited: Any = None
) -> Document:
    """Return an entry; ``cited`` is the identifier of the reference that it is related to."""
    attributes = {}
    for name in names:
        known = entries.properties.get(name)
        value = row[name] if known else None
        attributes[name] = None if known is None or value is None else in_json(known.show(value))
    document: Document = {"id": str(row["id"]), "type": entries.type, "attributes": attributes}
    if cited is not None:
        related = {"data": [{"type": "references", "id": str(cited)}]}
        document["relationships"] = {"references": related}
    return document


def failure(request: Request, error: Exception, status: int, detail: str) -> Answer:
    """Return an error as OPTIMADE writes it."""
    one = {"status": str(status), "title": type(error).__name__, "detail": detail}
    return Answer({"meta": meta(request), "errors": [one]}, status)


def known_failure(request: Request, error: Exception) -> Answer:
    """Return an error of the tree, whose message may be told."""
    return failure(request, error, outcome(error).http_status, str(error))
