"""Is it up, and on which schema?"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError

from api.db import code_version, connection, schema_revision
from api.services import maintenance
from pgsteady.errors import EnvironmentFault

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """Whether requests can be served, and by what."""

    status: str
    version: str
    schema_revision: str | None
    detail: str | None = None


@router.get("/health")
async def health(request: Request, response: Response) -> Health:
    """Answer 200 if the database answers and has its tables, else 503 with the cause.

    Under maintenance it says so, and stays 200: nothing has to be restarted.
    """
    engine = request.app.state.engine
    revision, detail, on = None, None, None
    try:
        revision = await schema_revision(engine)
        if revision is None:
            detail = "The database has no tables yet: run `alembic upgrade head`."
        async with connection(engine) as open_:
            on = await maintenance.current(open_)
    except EnvironmentFault as fault:
        detail = type(fault).__doc__
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        detail = "The connection to the database was lost."
    if detail is not None:
        response.status_code = 503
    status = "ok" if detail is None else "unavailable"
    if on is not None and detail is None:
        status, detail = "maintenance", on.reason
    return Health(status=status, version=code_version(), schema_revision=revision, detail=detail)
