"""The HTTP application: routes, and errors as documents."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from api.db import code_version, make_engine
from api.errors import OUTCOMES, outcome
from api.routes import health

_log = logging.getLogger(__name__)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.engine = make_engine()
    yield
    await app.state.engine.dispose()


def create_app() -> FastAPI:
    """Return the application; the database is opened when it starts."""
    app = FastAPI(title="NANO-OS", version=code_version(), lifespan=_lifespan)
    app.include_router(health.router)
    for class_ in OUTCOMES:
        app.add_exception_handler(class_, _known)
    app.add_exception_handler(Exception, _unknown)
    return app


async def _known(_request: Request, error: Exception) -> JSONResponse:
    document = {"error": type(error).__name__, "message": str(error)}
    return JSONResponse(document, status_code=outcome(error).http_status)


async def _unknown(_request: Request, error: Exception) -> JSONResponse:
    """Log the error under an id, and tell the outside that id alone."""
    id_ = uuid4().hex
    _log.error("Internal error %s", id_, exc_info=error)
    document = {"error": "InternalError", "message": f"Internal error {id_}; see the log."}
    return JSONResponse(document, status_code=500)
