"""``doctor``: what is wrong with a project, its server and its database, and the cure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from pgsteady.connection import connect
from pgsteady.doctor import activity, extensions, files, history, rights, schema, server
from pgsteady.doctor.examination import (
    Answer,
    Examination,
    Patient,
    Result,
    State,
    fault,
    not_known,
)
from pgsteady.errors import EnvironmentFault, PgSteadyError, PoolerInTheWay, UrlError
from pgsteady.lock import direct
from pgsteady.project import Project
from pgsteady.url import DatabaseUrl

__all__ = ["Answer", "Result", "State", "examine"]

CONNECT_TIMEOUT_S = 2
"""An address that says nothing is given no longer."""

LIMITS = "SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = '1s'"
"""What is examined is not changed, and where it is busy, not made busier."""

EXAMINATIONS = (
    Examination("version", server.version, environment=True),
    Examination("rights", rights.rights, environment=True),
    Examination("extensions", extensions.extensions, environment=True),
    Examination("disk", server.disk, environment=True),
    Examination("replication", server.replication, environment=True),
    Examination("revision", history.revision),
    Examination("schema", history.schema),
    Examination("landed files", history.landed),
    Examination("indexes", schema.indexes),
    Examination("constraints", schema.constraints),
    Examination("transactions", activity.transactions),
)
"""Those that need the database, in the order in which they are told."""


def examine(ini: Path, fallback_url: Callable[[], str] | None = None) -> list[Result]:
    """Examine the project whose ``alembic.ini`` is ``ini``, its server and its database.

    It changes nothing. ``fallback_url`` is as in :func:`pgsteady.url.resolve`.
    """
    return list(_examine(ini, fallback_url))


def _examine(ini: Path, fallback_url: Callable[[], str] | None) -> Iterator[Result]:
    try:
        project = Project.load(ini, fallback_url)
    except PgSteadyError as error:
        yield Result("project", fault("project", error), environment=True)
        yield from _unexamined("the project cannot be read", "heads", "server", "pooler")
        return
    unreadable = files.unreadable(project)
    yield Result("project", files.revisions(project, unreadable), environment=True)
    yield Result("heads", files.heads(project, unreadable))
    try:
        database = _impatient(project.database())
        straight, pooler = _straight(database, project.ini)
        with connect(straight) as connection:
            yield Result("server", Answer(_place(database)), environment=True)
            yield Result("pooler", pooler, environment=True)
            patient = Patient(project, straight, connection, unreadable)
            for examination in EXAMINATIONS:
                yield Result(examination.name, _look(examination, patient), examination.environment)
    except (EnvironmentFault, UrlError) as error:
        yield Result("server", fault("server", error), environment=True)
        yield from _unexamined("no connection", "pooler")


def _look(examination: Examination, patient: Patient) -> Answer:
    try:
        with patient.connection.begin():
            patient.connection.exec_driver_sql(LIMITS)
            return examination.look(patient)
    except DBAPIError as error:
        cause = getattr(getattr(error.orig, "diag", None), "message_primary", None)
        return not_known(cause or "the connection broke")
    except PgSteadyError as error:
        return not_known(str(error).splitlines()[0])


def _straight(database: DatabaseUrl, ini: Path) -> tuple[DatabaseUrl, Answer]:
    """Return the server's own URL as far as it is known, and what is to be said of poolers."""
    try:
        straight = direct(database, ini)
    except PoolerInTheWay as error:
        return database, fault("pooler", error)
    if straight is database:
        return database, Answer("none")
    return _impatient(straight), Answer(f"passed by: DATABASE_URL_DIRECT is {straight.address}")


def _impatient(database: DatabaseUrl) -> DatabaseUrl:
    """Return ``database`` with a connect_timeout, unless its URL has one."""
    query = {"connect_timeout": str(CONNECT_TIMEOUT_S)} | dict(database.url.query)
    return DatabaseUrl(database.url.set(query=query), database.source)


def _place(database: DatabaseUrl) -> str:
    return f'{database.address}, database "{database.url.database}", from {database.source}'


def _unexamined(reason: str, *names: str) -> Iterator[Result]:
    for name in (*names, *(examination.name for examination in EXAMINATIONS)):
        yield Result(name, not_known(reason))
