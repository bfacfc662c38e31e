"""The HTTP application: routes, and errors as documents."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoneFree
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.types import ASGIApp, Receive, Scope, Send

from api.db import code_version, connection, make_engine
from api.errors import OUTCOMES, UnderMaintenance, outcome
from api.optimade.app import create_app as create_optimade
from api.optimade.documents import known_failure
from api.routes import health, start
from api.services import maintenance
from pgsteady.errors import EnvironmentFault
from pgsteady.maintenance import Maintenance

OPTIMADE = "/optimade"
"""Where the interface of that standard is."""
MAINTENANCE_KNOWN_S = 1.0
"""How long an answer to whether maintenance is on is good for."""

_log = logging.getLogger(__name__)


class Gate:
    """Answers 503 in place of the application while maintenance is on, but for its health."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._known: Maintenance | None = None
        self._asked_at_s = float("-inf")
        self._asking = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        answer = self._app
        if scope["type"] == "http" and scope["path"] != "/health":
            now = await self._current(scope["app"].state.engine)
            if now is not None:
                answer = _later(scope, now)
        await answer(scope, receive, send)

    async def _current(self, engine: AsyncEngine) -> Maintenance | None:
        async with self._asking:
            if time.monotonic() - self._asked_at_s > MAINTENANCE_KNOWN_S:
                try:
                    async with connection(engine) as open_:
                        self._known = await maintenance.current(open_)
                except (DBAPIError, NoneFree, EnvironmentFault):
                    _log.warning("Whether maintenance is on cannot be read; taken as it was.")
                self._asked_at_s = time.monotonic()
        return self._known


def _later(scope: Scope, now: Maintenance) -> JSONResponse:
    error = UnderMaintenance(f"{now.reason}. Try again in {now.retry_after_s} s.")
    if f"{scope['path']}/".startswith(f"{OPTIMADE}/"):
        root = scope.get("root_path", "") + OPTIMADE
        answer: JSONResponse = known_failure(Request({**scope, "root_path": root}), error)
    else:
        answer = _document(error)
    answer.headers["Retry-After"] = str(now.retry_after_s)
    return answer


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.engine = app.state.optimade.state.engine = make_engine()
    yield
    await app.state.engine.dispose()


def create_app() -> FastAPI:
    """Return the application; the database is opened when it starts."""
    app = FastAPI(title="NANO-OS", version=code_version(), lifespan=_lifespan)
    app.include_router(health.router)
    app.include_router(start.router)
    app.state.optimade = create_optimade()
    app.mount(OPTIMADE, app.state.optimade)
    app.add_middleware(Gate)
    for class_ in OUTCOMES:
        app.add_exception_handler(class_, _known)
    app.add_exception_handler(Exception, _unknown)
    return app


async def _known(_request: Request, error: Exception) -> JSONResponse:
    return _document(error)


def _document(error: Exception) -> JSONResponse:
    document = {"error": type(error).__name__, "message": str(error)}
    return JSONResponse(document, outcome(error).http_status)


async def _unknown(_request: Request, error: Exception) -> JSONResponse:
    """Log the error under an id, and tell the outside that id alone."""
    id_ = uuid4().hex
    _log.error("Internal error %s", id_, exc_info=error)
    document = {"error": "InternalError", "message": f"Internal error {id_}; see the log."}
    return JSONResponse(document, status_code=500)
