"""The application below /optimade: endpoints, and errors as the standard writes them."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware

from api.db import code_version
from api.errors import OUTCOMES, NotFound, QueryNotUnderstood, VersionNotSupported
from api.optimade import info, listing, references, structures
from api.optimade.documents import (
    VERSIONS,
    Answer,
    answer,
    base_url,
    failure,
    known_failure,
    meta,
)
from api.optimade.properties import Entries
from api.optimade.request import MAJOR, ListQuery, SingleQuery
from api.services import published
from api.settings import settings

GZIPPED_FROM_BYTES = 1_000

_log = logging.getLogger(__name__)
_router = APIRouter()


async def _session(request: Request) -> AsyncIterator[AsyncSession]:
    timeout_s = settings().optimade_timeout_s
    async with published.reading(request.app.state.engine, timeout_s=timeout_s) as session:
        yield session


Session = Annotated[AsyncSession, Depends(_session)]


def _entries(type_: str) -> Entries:
    made = {"structures": structures.entries, "references": references.entries}
    if type_ not in made:
        raise NotFound(f"There are no {type_} here.")
    return made[type_](settings().optimade_prefix)


@_router.get("/info")
def base_info(request: Request) -> Answer:
    """What this interface offers."""
    return answer(request, info.base(base_url(request)), told=meta(request))


@_router.get("/info/{entry_type}")
def entry_info(request: Request, entry_type: str) -> Answer:
    """What entries of a type have, with types and units."""
    return answer(request, info.entry(_entries(entry_type)), told=meta(request))


@_router.get("/links")
def links(request: Request) -> Answer:
    """Related databases."""
    found = info.links(base_url(request))
    told = meta(request, data_returned=len(found), data_available=len(found))
    return answer(request, found, told=told, links={"next": None})


@_router.get("/structures")
@_router.get("/structures/", include_in_schema=False)
async def structure_list(
    request: Request, session: Session, query: Annotated[ListQuery, Query()]
) -> Answer:
    """Public structures that match a filter."""
    return await listing.many(request, session, _entries("structures"), query)


@_router.get("/structures/{id_:path}")
async def one_structure(
    request: Request, session: Session, id_: str, query: Annotated[SingleQuery, Query()]
) -> Answer:
    """One public structure."""
    return await listing.one(request, session, _entries("structures"), id_, query)


@_router.get("/references")
@_router.get("/references/", include_in_schema=False)
async def reference_list(
    request: Request, session: Session, query: Annotated[ListQuery, Query()]
) -> Answer:
    """References of public structures that match a filter."""
    return await listing.many(request, session, _entries("references"), query)


@_router.get("/references/{id_:path}")
async def one_reference(
    request: Request, session: Session, id_: str, query: Annotated[SingleQuery, Query()]
) -> Answer:
    """One reference of public structures."""
    return await listing.one(request, session, _entries("references"), id_, query)


def create_app() -> FastAPI:
    """Return the application; who mounts it gives it ``state.engine``."""
    app = FastAPI(title="NANO-OS, OPTIMADE", version=code_version())
    app.state.totals = {}
    app.add_api_route("/versions", versions)
    for version in (*VERSIONS, ""):
        prefix = f"/{version}" if version else ""
        app.include_router(_router, prefix=prefix, include_in_schema=version == VERSIONS[0])
    app.add_api_route("/v{version}", _no_such_version, include_in_schema=False)
    app.add_api_route("/v{version}/{rest:path}", _no_such_version, include_in_schema=False)
    app.add_middleware(GZipMiddleware, minimum_size=GZIPPED_FROM_BYTES, compresslevel=4)
    app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["GET"])
    for class_ in OUTCOMES:
        app.add_exception_handler(class_, _known)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _wrong_parameters)
    app.add_exception_handler(Exception, _unknown)
    return app


def versions() -> PlainTextResponse:
    """The major versions offered, as CSV."""
    return PlainTextResponse(f"version\n{MAJOR}\n", media_type="text/csv; header=present")


def _no_such_version(version: str) -> Answer:
    if not version[:1].isdigit():
        raise HTTPException(404)
    if f"v{version}" in VERSIONS:
        raise HTTPException(404)
    raise VersionNotSupported(f"v{version} is not offered; {', '.join(VERSIONS)} are.")


async def _known(request: Request, error: Exception) -> Answer:
    return known_failure(request, error)


async def _http(request: Request, error: Exception) -> Answer:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    return failure(request, error, error.status_code, error.detail)


async def _wrong_parameters(request: Request, error: Exception) -> Answer:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what it is registered for
    told = "; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in error.errors())
    return known_failure(request, QueryNotUnderstood(told))


async def _unknown(request: Request, error: Exception) -> Answer:
    """Log the error under an id, and tell the outside that id alone."""
    id_ = uuid4().hex
    _log.error("Internal error %s", id_, exc_info=error)
    return failure(request, error, 500, f"Internal error {id_}; see the log.")
