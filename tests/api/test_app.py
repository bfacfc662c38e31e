"""The HTTP application: its health, and errors as documents without secrets."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from fastapi import FastAPI

from api.app import create_app
from api.db import database_url
from api.errors import OUTCOMES, NotFound, WrongUsage
from nanoos.errors import EngineError
from pgsteady.errors import ServerUnreachable
from servers import PASSWORD, ExternalServer, free_port

INI = Path(__file__).parents[2] / "alembic.ini"
HEAD = ScriptDirectory.from_config(Config(INI)).get_current_head()

Point = Callable[[str], None]


@pytest.fixture
def point(monkeypatch: pytest.MonkeyPatch) -> Point:
    """Point DATABASE_URL somewhere for this test."""

    def to(url: str) -> None:
        monkeypatch.setenv("DATABASE_URL", url)
        database_url.cache_clear()

    monkeypatch.setenv("DATABASE_URL", "")
    return to


@asynccontextmanager
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    talking = httpx.AsyncClient(transport=transport, base_url="http://test")
    async with app.router.lifespan_context(app), talking:
        yield talking


async def test_a_migrated_database_is_healthy(database: str) -> None:
    async with client(create_app()) as http:
        answer = await http.get("/health")
        assert answer.status_code == 200
        assert (
            answer.json().items()
            >= {
                "status": "ok",
                "schema_revision": HEAD,
                "detail": None,
            }.items()
        )
        assert (await http.get("/health")).status_code == 200


async def test_a_database_without_tables_is_not(
    point: Point, fresh_database: Callable[..., str]
) -> None:
    point(fresh_database())
    async with client(create_app()) as http:
        answer = await http.get("/health")
    assert answer.status_code == 503
    assert answer.json()["schema_revision"] is None
    assert "alembic upgrade head" in answer.json()["detail"]


@pytest.mark.parametrize("fault", ["no server", "wrong password", "no database"])
async def test_what_keeps_it_from_serving_is_said_without_secrets(
    point: Point, external_server: Callable[[], ExternalServer], fault: str
) -> None:
    server = external_server()
    point(
        {
            "no server": f"postgresql://orion:{quote(PASSWORD)}@127.0.0.1:{free_port()}/orion_db",
            "wrong password": server.url("with_vector", password="a guess"),
            "no database": server.url("nowhere"),
        }[fault]
    )
    async with client(create_app()) as http:
        answer = await http.get("/health")
    assert answer.status_code == 503
    assert answer.json()["status"] == "unavailable"
    assert answer.json()["detail"]
    for secret in (PASSWORD, quote(PASSWORD), "a guess", "orion"):
        assert secret not in answer.text


async def test_health_returns_when_the_database_does(
    database: str, external_server: Callable[[], ExternalServer]
) -> None:
    """A restart of the server ends the pooled connections, and the next request does not mind."""
    async with client(create_app()) as http:
        assert (await http.get("/health")).status_code == 200
        with external_server().cluster.session() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = 'of_one_test'"
            )
        assert (await http.get("/health")).status_code in {200, 503}
        assert (await http.get("/health")).status_code == 200


async def test_an_unknown_route_is_not_found(database: str) -> None:
    async with client(create_app()) as http:
        assert (await http.get("/nowhere")).status_code == 404
        assert (await http.post("/health")).status_code == 405
        assert (await http.get("/openapi.json")).json()["info"]["title"] == "NANO-OS"


def failing(error: Exception) -> FastAPI:
    app = create_app()

    @app.get("/fail")
    async def fail() -> None:
        raise error

    return app


@pytest.mark.parametrize(
    "error",
    [NotFound("No structure 7."), WrongUsage(), EngineError("out of luck"), ServerUnreachable()],
    ids=lambda error: type(error).__name__,
)
async def test_an_error_of_ours_is_a_document(database: str, error: Exception) -> None:
    async with client(failing(error)) as http:
        answer = await http.get("/fail")
    assert answer.status_code == OUTCOMES[type(error)].http_status
    assert answer.json() == {"error": type(error).__name__, "message": str(error)}


async def test_an_unforeseen_error_is_logged_under_an_id_that_is_all_one_sees(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, logger="api.app"):
        async with client(failing(ValueError("secret-word"))) as http:
            answer = await http.get("/fail")
    assert answer.status_code == 500
    assert "secret-word" not in answer.text
    (record,) = caplog.records
    assert record.getMessage().split()[-1] in answer.json()["message"]
    assert "secret-word" in str(record.exc_info)
