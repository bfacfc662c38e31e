"""Sessions and transactions that nobody ends: ended where that is safe, named otherwise."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from pgsteady.lock import AT_WORK, KEY
from pgsteady.server import Cluster, bundled, url_of
from toy import Project

Repair = Callable[..., Any]
Sql = Callable[..., list[tuple[object, ...]]]

HOLDER = f"""
import psycopg2, sys
connection = psycopg2.connect(sys.argv[1])
cursor = connection.cursor()
cursor.execute("SELECT pg_advisory_lock({KEY})")
connection.commit()
cursor.execute("SELECT pg_sleep(600)")
"""
ASLEEP = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"


def test_the_migration_lock_of_a_program_that_is_gone(
    project: Project, database: str, sql: Sql, repair: Repair
) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, database])
    while not sql(ASLEEP):
        time.sleep(0.02)
    holder.kill()
    holder.wait()
    ((pid,),) = sql(ASLEEP)  # the server has not noticed
    (done,) = (one for one in repair()["repairs"] if one["object"] == f"session {pid}")
    assert "holds the migration lock" in done["message"]
    assert sql(ASLEEP) == []


def test_a_program_that_lives_keeps_its_session(
    project: Project, database: str, sql: Sql, repair: Repair
) -> None:
    with closing(psycopg2.connect(f"{database}?application_name=pgsteady")) as alive:
        alive.cursor().execute("SELECT count(*) FROM pg_class")
        assert not [one for one in repair()["repairs"] if one["object"].startswith("session")]
        alive.cursor().execute("SELECT 1")


def test_a_migrator_that_lost_the_lock_is_not_disturbed(
    half_done: Project, database: str, repair: Repair, invalid: Callable[[], list[object]]
) -> None:
    with closing(psycopg2.connect(database)) as alive:
        alive.cursor().execute("SELECT pg_advisory_lock_shared(%s)", [AT_WORK])
        (left,) = repair(exits=1)["remaining"]
        assert left["code"] == "migrator-without-lock"
        assert invalid() == ["ix_a_b"]
        alive.cursor().execute("SELECT 1")
    assert not repair()["remaining"]


def test_a_prepared_transaction_is_named_and_left(
    project: Project, server_folder: Path, repair: Repair, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(server_folder / "prepared", bundled())
    cluster.create()
    cluster.start({"max_prepared_transactions": "2", "fsync": "off"})
    try:
        with cluster.session() as cursor:
            cursor.execute("CREATE TABLE a (id int)")
            cursor.execute("BEGIN; INSERT INTO a VALUES (1); PREPARE TRANSACTION 'forgotten'")
        url = url_of(cluster, "postgres").url.render_as_string(hide_password=False)
        monkeypatch.setenv("DATABASE_URL", url)
        (left,) = repair(exits=1)["remaining"]
        assert left["sql"] == "ROLLBACK PREPARED 'forgotten';"
        with cluster.session() as cursor:
            cursor.execute("COMMIT PREPARED 'forgotten'")
    finally:
        cluster.stop()
