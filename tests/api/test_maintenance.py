"""Maintenance: the API answers later, workers claim nothing, and the queue holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import httpx
import psycopg2
import pytest
from optimade.models import ErrorResponse
from samples import metal, stored, submitted
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from api.models import User
from api.services.users import local_owner
from servers import free_port

if TYPE_CHECKING:
    from conftest import Start, Started

LONG = {"points_per_side": 20}
Ask = Callable[[str], httpx.Response]
Query = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def query(database: str) -> Iterator[Query]:
    """Run one statement as the application's role, and return its rows."""
    connection = psycopg2.connect(database)
    connection.autocommit = True

    def run(statement: str) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    yield run
    connection.close()


@pytest.fixture
async def owner(sessions: async_sessionmaker[AsyncSession]) -> User:
    async with sessions.begin() as session:
        return await local_owner(session)


@pytest.fixture
def queue_up(sessions: async_sessionmaker[AsyncSession], owner: User) -> Callable[..., Any]:
    async def run(*structures: Any, **parameters: Any) -> None:
        async with sessions.begin() as session:
            ids = await stored(session, owner, *structures)
            await submitted(session, owner, *ids, parameters=parameters)

    return run


@pytest.fixture
def served(start: Start, database: str) -> Ask:
    """A real server, asked for a path."""
    port = free_port()
    server = start("serve", "--port", port)

    def ask(path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=10)

    def answers() -> bool:
        try:
            return ask("/health").status_code == 200
        except httpx.TransportError:
            return False

    until(answers, server)
    return ask


def until(condition: Callable[[], Any], running: Started) -> Any:
    """Wait until the condition holds while the command runs, and return what it gave."""
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert running.poll() is None, running.output()
        assert time.monotonic() < deadline, running.output()
        time.sleep(0.05)
    return found


@pytest.mark.slow
def test_every_answer_is_later_but_for_health(served: Ask, invoke: Any, start: Start) -> None:
    assert served("/openapi.json").status_code == 200
    invoke("db", "maintenance", "on", "--reason", "Moving house", "--retry-after", 120)
    time.sleep(1.1)  # what is known of maintenance is good for a second
    for path in ("/openapi.json", "/nowhere", "/docs"):
        answer = served(path)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "120"
        assert answer.json() == {
            "error": "UnderMaintenance",
            "message": "Moving house. Try again in 120 s.",
        }
    answer = served("/optimade/v1/structures?page_limit=1")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "120")
    document = ErrorResponse(**answer.json())
    assert document.errors[0].detail == "Moving house. Try again in 120 s."
    assert document.meta.query.representation == "/structures?page_limit=1"
    health = served("/health")
    assert health.status_code == 200
    assert (health.json()["status"], health.json()["detail"]) == ("maintenance", "Moving house")
    invoke("db", "maintenance", "off")
    assert served("/health").json()["status"] == "ok"
    time.sleep(1.1)
    assert served("/openapi.json").status_code == 200


def test_a_database_that_knows_no_maintenance_is_served(served: Ask, query: Query) -> None:
    query("DROP SCHEMA pgsteady CASCADE")
    time.sleep(1.1)
    assert served("/openapi.json").status_code == 200
    assert served("/health").json()["status"] == "ok"


def test_a_role_that_may_not_read_it_is_served(
    served: Ask, invoke: Any, query: Query, database: str
) -> None:
    invoke("db", "maintenance", "on")
    query("REVOKE ALL ON SCHEMA pgsteady FROM PUBLIC, orion")
    time.sleep(1.1)
    assert served("/openapi.json").status_code == 200
    assert served("/health").json()["status"] == "ok"


def test_the_command_tells_and_remembers(invoke: Any) -> None:
    assert invoke("db", "maintenance", "status", "--json").json == {"on": False}
    assert "not on" in invoke("db", "maintenance", "off").stderr
    first = invoke("db", "maintenance", "on", "--reason", "A", "--json").json
    again = invoke("db", "maintenance", "on", "--reason", "B", "--retry-after", 5, "--json").json
    assert (again["on"], again["since"]) == (True, first["since"])
    assert (again["reason"], again["retry_after_s"], again["by"]) == ("B", 5, "orion")
    assert "Maintenance is on since" in invoke("db", "maintenance").stdout
    assert invoke("db", "maintenance", "off", "--json").json == {"on": False}


def test_the_command_makes_its_table_where_there_is_none(invoke: Any, query: Query) -> None:
    query("DROP SCHEMA pgsteady CASCADE")
    assert invoke("db", "maintenance", "--json").json == {"on": False}
    assert invoke("db", "maintenance", "on", "--json").json["on"]


def test_who_may_not_keep_it_is_told_the_line_for_an_administrator(
    invoke: Any, query: Query, external_server: Any
) -> None:
    query("DROP SCHEMA pgsteady CASCADE")
    with external_server().cluster.session("of_one_test") as cursor:
        cursor.execute("ALTER DATABASE of_one_test OWNER TO postgres")
    answer = invoke("db", "maintenance", "on", exits=3)
    assert "GRANT CREATE ON DATABASE of_one_test TO orion;" in answer.stderr


@pytest.mark.slow
def test_a_reader_that_does_not_end_is_not_waited_for_for_ever(invoke: Any, query: Query) -> None:
    invoke("db", "maintenance", "on")
    invoke("db", "maintenance", "off")
    query("BEGIN")
    query("SELECT * FROM pgsteady.maintenance")
    assert "does not end" in invoke("db", "maintenance", "on", exits=1).stderr
    query("COMMIT")
    assert invoke("db", "maintenance", "--json").json == {"on": False}


@pytest.mark.slow
async def test_a_worker_finishes_what_it_has_and_claims_nothing_until_it_is_off(
    start: Start, invoke: Any, query: Query, queue_up: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NANO_OS_POLL_S", "30")  # it is woken up, not found out
    await queue_up(metal("Cu", cells=6), metal("Al"), **LONG)
    worker = start("worker")
    until(
        lambda: query("SELECT id FROM simulation_jobs WHERE status = 'running' AND progress > 0"),
        worker,
    )
    waiting = start("db", "maintenance", "on", "--wait", "--reason", "Moving house")
    until(lambda: "at work: job " in waiting.output(), waiting)
    assert waiting.end(60) == 0
    statuses = "SELECT status FROM simulation_jobs ORDER BY id"
    assert query(statuses) == [("succeeded",), ("queued",)]
    until(lambda: "Maintenance is on, nothing is claimed: Moving house." in worker.output(), worker)

    drained = start("worker", "--drain")
    assert drained.end() == 0
    assert "nothing is claimed" in drained.output()
    await queue_up(metal("Ni"))
    assert query(statuses) == [("succeeded",), ("queued",), ("queued",)]

    invoke("db", "maintenance", "off")
    until(lambda: query(statuses) == [("succeeded",)] * 3, worker)
    assert "Maintenance is over." in worker.output()
    worker.terminate()
    assert worker.end() == 0


def test_waiting_is_refused_where_nothing_says_what_is_at_work(
    invoke: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "--wait" in invoke("db", "maintenance", "off", "--wait", exits=2).stderr
