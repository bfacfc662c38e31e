"""What others feel is seen, and limits stop an upgrade between two revisions."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import psycopg2
import pytest
from production import AGAIN, ANYHOW, Pgsteady

from toy import Project

Sql = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def rude(shop: Project) -> Project:
    """The shop, whose third of four revisions keeps ``items`` to itself for a while."""
    shop.revision("003_rude", 'op.execute("LOCK TABLE items; SELECT pg_sleep(2)")', down="002_note")
    shop.revision("004_polite", 'op.execute("SELECT 1")', down="003_rude")
    return shop


def reading(database: str, ended: threading.Event) -> None:
    """Read ``items`` again and again, as an application does."""
    connection = psycopg2.connect(database)
    connection.autocommit = True
    while not ended.wait(0.05):
        connection.cursor().execute("SELECT count(*) FROM items WHERE name = 'a secret'")
    connection.close()


@pytest.fixture
def reader(database: str, rude: Project) -> Any:
    ended = threading.Event()
    thread = threading.Thread(target=reading, args=(database, ended))
    thread.start()
    yield
    ended.set()
    thread.join()


@pytest.mark.slow
@pytest.mark.usefixtures("reader")
def test_a_limit_stops_between_two_revisions(rude: Project, pgsteady: Pgsteady, sql: Sql) -> None:
    stopped = pgsteady("upgrade", *ANYHOW, "--max-blocked-for", "1s", "--json", exits=1).json
    assert stopped["outcome"] == "stopped"
    assert stopped["current"] == ["003_rude"]
    assert "s was one session blocked; the limit is 1" in stopped["error"]
    assert stopped["go_on"] == [f"{AGAIN} --max-blocked-for 1s"]
    assert stopped["go_back"][0] == "alembic downgrade 001_items"
    phases = stopped["watch"]["phases"]
    assert list(phases) == ["before", "during"]
    assert phases["before"]["blocked"] == 0
    assert phases["during"]["blocked"] == 1
    (slowest,) = (q for q in phases["during"]["slowest"] if "name = ?" in q)
    assert slowest.startswith("orion: SELECT count(*)")
    assert phases["during"]["slowest"][slowest] > 1


@pytest.mark.slow
@pytest.mark.usefixtures("reader")
def test_it_goes_on_watching_and_sums_up(
    rude: Project, pgsteady: Pgsteady, external_server: Any, database: str
) -> None:
    with external_server().cluster.session(database.rpartition("/")[2]):  # another role's
        done = pgsteady("upgrade", *ANYHOW, "--watch", "2s", "--max-blocked", "5")
    assert "GRANT pg_read_all_stats TO orion;" in done.stdout
    assert "Done: 3 of 3 revisions applied" in done.stdout
    assert done.stdout.split("sessions blocked at once")[1].split()[:3] == ["0", "1", "0"]
    *_, after = done.stdout.split("seconds")[1].split()[:3]
    assert after.startswith("2."), "as long as asked for"
    assert "Watching" in done.stderr
    assert "secret" not in done.stdout


@pytest.mark.slow
def test_a_limit_exceeded_afterwards_is_a_failure(
    shop: Project, start: Callable[..., Any], database: str, sql: Sql
) -> None:
    running = start("upgrade", *ANYHOW, "--watch", "8s", "--max-rollback-rate", "2")
    while sql("SELECT version_num FROM alembic_version") == [("001_items",)]:
        assert running.poll() is None
    connection = psycopg2.connect(database)
    while running.poll() is None:
        connection.cursor().execute("SELECT 1")
        connection.rollback()
    connection.close()
    stdout, stderr = running.communicate()
    assert running.returncode == 1, stdout + stderr
    assert "transactions a second rolled back; the limit is 2" in stdout
    assert "Done, and not as it should be: 1 of 1 revisions applied" in stdout
