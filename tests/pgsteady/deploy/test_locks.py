"""Sessions in the way of a revision, and what is left when one fails or is interrupted."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from production import AGAIN, ANYHOW, Pgsteady, read_until
from sqlalchemy import text

from pgsteady.connection import connect
from pgsteady.deploy.blockers import blockers
from pgsteady.deploy.retrying import BASE_S, CAP_S, Retries
from pgsteady.server import BUNDLED_MAJORS, private_server, url_of
from pgsteady.url import parse
from toy import Project

Sql = Callable[..., list[tuple[Any, ...]]]
Start = Callable[..., Any]
HOLD = "SELECT * FROM items WHERE name = 'a secret' FOR UPDATE"


@pytest.fixture
def hasty(shop: Project) -> Project:
    """The shop, whose revisions wait no longer than 0.3 s for a lock."""
    shop.models("lock_timeout_s = 0.3")
    return shop


def slow(shop: Project, seconds: float, *, autocommit: bool = False) -> None:
    """Add a revision that takes so long, and says so in the log."""
    sleep = f'op.execute("DO $$ BEGIN PERFORM pg_sleep({seconds}); END $$")'
    table = 'op.execute("CREATE TABLE made_slowly (id int)")'
    if autocommit:
        body = f"with op.get_context().autocommit_block():\n        {table}\n        {sleep}"
    else:
        body = f"{table}\n    {sleep}"
    shop.revision("003_slow", body, 'op.execute("DROP TABLE made_slowly")', down="002_note")


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def asleep(sql: Sql) -> bool:
    return bool(sql("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))


@pytest.mark.slow
def test_a_blocker_is_named_and_waited_for(
    hasty: Project, start: Start, session: Any, sql: Sql
) -> None:
    with session(HOLD) as blocker:
        pid = blocker.info.backend_pid
        running = start("upgrade", *ANYHOW)
        said = read_until(running, "Trying again in", times=2)
    assert running.wait() == 0
    (line, _) = (line for line in said.splitlines() if "Trying again in" in line)
    assert f"pid {pid} (for items)" in line
    assert "user orion, the blocker, idle in transaction" in line
    assert "WHERE name = ?" in line
    assert "secret" not in said
    assert sql("SELECT count(note) FROM items") == [(0,)]


@pytest.mark.slow
def test_a_blocker_that_never_goes_exhausts_the_patience(
    hasty: Project, pgsteady: Pgsteady, session: Any
) -> None:
    with session(HOLD) as blocker:
        pid = blocker.info.backend_pid
        failed = pgsteady("upgrade", *ANYHOW, "--patience", "2s", "--json", exits=1).json
    (step,) = failed["steps"]
    assert len(step["attempts"]) > 1
    assert {attempt["sqlstate"] for attempt in step["attempts"]} == {"55P03"}
    assert f"pid {pid} (for items)" in step["attempts"][0]["blockers"][0]
    assert failed["outcome"] == "failed"
    assert "another transaction holds a lock" in failed["error"]
    assert failed["left"] == "All that 002_note did was rolled back."
    assert failed["current"] == ["001_items"]
    assert failed["go_on"] == [f"{AGAIN} --patience 2s"]
    assert failed["go_back"] == []


@pytest.mark.slow
def test_a_deadlock_is_tried_again(shop: Project, start: Start, session: Any, sql: Sql) -> None:
    """The revision has ``items`` and wants ``others``; the session the other way round."""
    sql("CREATE TABLE others (id int)")
    shop.revision("003_both", 'op.execute("LOCK TABLE items; LOCK TABLE others")', down="002_note")
    queued = (
        "SELECT 1 FROM pg_locks WHERE relation = 'others'::regclass AND NOT granted "
        "AND mode = 'AccessExclusiveLock'"
    )
    with session("LOCK TABLE others IN SHARE MODE") as other:
        running = start("upgrade", *ANYHOW)
        until(lambda: sql(queued))
        other.cursor().execute("LOCK TABLE items IN SHARE MODE")  # here the two stand still
        read_until(running, "Deadlock")
    assert running.wait() == 0


@pytest.mark.slow
def test_a_failure_in_the_middle_says_where_it_stands(shop: Project, pgsteady: Pgsteady) -> None:
    shop.revision("003_fails", 'op.execute("SELECT 1 / 0")', down="002_note")
    shop.revision("004_never", 'op.execute("SELECT 1")', down="003_fails")
    failed = pgsteady("upgrade", *ANYHOW, "--json", exits=1).json
    assert [step["done"] for step in failed["steps"]] == [True, False, False]
    assert "003_fails failed" in failed["error"]
    assert "division by zero" in failed["error"]
    assert failed["current"] == ["002_note"]
    assert failed["go_on"] == [AGAIN]
    assert failed["go_back"] == [
        "alembic downgrade 001_items",
        f"python -m pgsteady restore {failed['backup']} --switch",
    ]
    told = pgsteady("upgrade", *ANYHOW, exits=1)
    assert "0 of 2 revisions applied, the database is at 002_note" in told.stdout


@pytest.mark.slow
def test_a_relative_target_is_named_for_going_on(shop: Project, pgsteady: Pgsteady) -> None:
    """``+2`` would lead further from where it stands now."""
    shop.revision("003_fails", 'op.execute("SELECT 1 / 0")', down="002_note")
    shop.revision("004_later", 'op.execute("SELECT 1")', down="003_fails")
    failed = pgsteady("upgrade", "+2", *ANYHOW, "--json", exits=1).json
    assert failed["current"] == ["002_note"]
    assert failed["go_on"] == [AGAIN.replace("upgrade", "upgrade 003_fails")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "commit", ['op.execute("COMMIT")', "op.get_bind().commit()"], ids=["as SQL", "in Python"]
)
def test_what_a_revision_commits_itself_is_not_said_to_be_rolled_back(
    hasty: Project, pgsteady: Pgsteady, session: Any, sql: Sql, commit: str
) -> None:
    """And is not tried again, although it only waits for a lock."""
    hasty.revision(
        "003_commits",
        f'op.execute("CREATE TABLE kept (id int)")\n    {commit}\n'
        '    op.execute("SET lock_timeout = 300")\n    op.execute("DROP INDEX ix_price")',
        down="002_note",
    )
    sql("CREATE INDEX ix_price ON items (price)")
    pgsteady("upgrade", *ANYHOW, "002_note")
    with session(HOLD):
        failed = pgsteady("upgrade", *ANYHOW, "--accept-lint", "cannot-run", "--json", exits=1).json
    (step,) = failed["steps"]
    assert [attempt["sqlstate"] for attempt in step["attempts"]] == ["55P03"]
    assert "did not work in one transaction" in failed["left"]
    assert failed["go_on"][0] == "python -m pgsteady repair"
    assert sql("SELECT to_regclass('kept')") == [("kept",)]


@pytest.mark.slow
def test_a_constraint_that_fails_at_commit_is_rolled_back(
    shop: Project, pgsteady: Pgsteady, sql: Sql
) -> None:
    sql("CREATE TABLE parts (id int REFERENCES items DEFERRABLE INITIALLY DEFERRED)")
    shop.revision("003_orphan", 'op.execute("INSERT INTO parts VALUES (501)")', down="002_note")
    failed = pgsteady("upgrade", *ANYHOW, "--json", exits=1).json
    assert "violates foreign key constraint" in failed["error"]
    assert failed["left"] == "All that 003_orphan did was rolled back."


@pytest.mark.slow
def test_what_autocommit_left_is_for_repair(shop: Project, pgsteady: Pgsteady, sql: Sql) -> None:
    shop.revision(
        "003_unique",
        "with op.get_context().autocommit_block():\n"
        '        op.execute("CREATE UNIQUE INDEX CONCURRENTLY uq_items ON items ((price / 2))")',
        'op.execute("DROP INDEX uq_items")',
        down="002_note",
    )
    failed = pgsteady("upgrade", *ANYHOW, "--json", exits=1).json
    assert "could not create unique index" in failed["error"]
    assert len(failed["steps"][1]["attempts"]) == 1
    assert "did not work in one transaction" in failed["left"]
    assert failed["go_on"] == ["python -m pgsteady repair", AGAIN]
    assert sql("SELECT indisvalid FROM pg_index WHERE indexrelid = 'uq_items'::regclass") == [
        (False,)
    ]


@pytest.mark.slow
def test_an_interrupted_revision_is_rolled_back(shop: Project, start: Start, sql: Sql) -> None:
    slow(shop, 60)
    running = start("upgrade", *ANYHOW, "--json")
    until(lambda: asleep(sql))
    running.send_signal(signal.SIGINT)
    stdout, stderr = running.communicate(timeout=30)
    assert running.returncode == 1
    assert "Traceback" not in stderr
    assert '"outcome": "interrupted"' in stdout
    assert "All that 003_slow did was rolled back." in stdout
    assert sql("SELECT to_regclass('made_slowly')") == [(None,)]
    assert sql("SELECT version_num FROM alembic_version") == [("002_note",)]
    assert sql("SELECT outcome FROM pgsteady.upgrade") == [("interrupted",)]


@pytest.mark.slow
def test_an_interrupted_revision_outside_of_transactions_is_let_end(
    shop: Project, start: Start, sql: Sql
) -> None:
    slow(shop, 2, autocommit=True)
    shop.revision("004_never", 'op.execute("SELECT 1")', down="003_slow")
    running = start("upgrade", *ANYHOW)
    until(lambda: asleep(sql))
    running.send_signal(signal.SIGTERM)
    stdout, stderr = running.communicate(timeout=30)
    assert running.returncode == 1
    assert "Stopping when 003_slow has ended" in stderr
    assert "2 of 3 revisions applied, the database is at 003_slow" in stdout


@pytest.mark.slow
def test_an_interruption_ends_the_wait_for_a_lock(
    hasty: Project, start: Start, session: Any
) -> None:
    with session(HOLD):
        running = start("upgrade", *ANYHOW)
        read_until(running, "Trying again in", times=1)
        os.killpg(running.pid, signal.SIGINT)
        stdout, _ = running.communicate(timeout=30)
    assert running.returncode == 1
    assert "Interrupted: 0 of 1 revisions applied" in stdout


@pytest.mark.slow
def test_a_run_that_was_killed_is_told_of_and_the_next_goes_on(
    shop: Project, start: Start, pgsteady: Pgsteady, sql: Sql
) -> None:
    slow(shop, 2)
    running = start("upgrade", *ANYHOW)
    until(lambda: asleep(sql))
    running.kill()
    running.wait()
    told = pgsteady("upgrade", *ANYHOW, "--json").json
    assert told["outcome"] == "done"
    assert told["from_revisions"] == ["002_note"]
    (died,) = told["died_before"]
    assert "from 001_items died before it ended. Its backup: " in died
    assert sql("SELECT outcome FROM pgsteady.upgrade ORDER BY id") == [("died",), ("done",)]


@pytest.mark.slow
def test_the_second_of_two_waits_for_the_first(shop: Project, start: Start, sql: Sql) -> None:
    slow(shop, 2)
    first = start("upgrade", *ANYHOW)
    until(lambda: asleep(sql))
    second = start("upgrade", *ANYHOW)
    read_until(second, "Another migration is running (pid")
    assert first.wait() == 0
    stdout, _ = second.communicate(timeout=60)
    assert second.returncode == 0
    assert "Nothing to do: the database is at 003_slow." in stdout


@pytest.mark.slow
def test_a_connection_that_is_cut_is_a_failure_that_tells_the_truth(
    shop: Project, start: Start, sql: Sql, external_server: Any
) -> None:
    slow(shop, 60)
    running = start("upgrade", *ANYHOW)
    until(lambda: asleep(sql))
    with external_server().cluster.session() as administrator:
        administrator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'orion'"
        )
    stdout, stderr = running.communicate(timeout=30)
    assert running.returncode in {1, 3}, stdout + stderr
    assert "Traceback" not in stderr
    assert "1 of 2 revisions applied, the database is at 002_note" in stdout


@pytest.mark.slow
def test_a_server_that_is_killed_is_a_failure_and_the_next_run_goes_on(
    shop: Project, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(shop, 60)
    with private_server(BUNDLED_MAJORS[-1]) as cluster:
        with cluster.session() as cursor:
            cursor.execute("ALTER DATABASE postgres SET synchronous_commit = on")
        monkeypatch.setenv("DATABASE_URL", url_of(cluster, "postgres").libpq())
        shop.run("upgrade", "002_note")
        running = start("upgrade", *ANYHOW)
        sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"

        def is_asleep() -> bool:
            with cluster.session() as cursor:
                cursor.execute(sleeping)
                return cursor.fetchone() == (1,)

        until(is_asleep)
        pid = (cluster.folder / "data" / "postmaster.pid").read_text().split()[0]
        os.kill(int(pid), signal.SIGKILL)
        stdout, stderr = running.communicate(timeout=60)
        assert running.returncode == 3, stdout + stderr
        assert "Traceback" not in stderr
        assert "where the database is is not known" in stdout
        assert "Whether 003_slow was applied is not known" in stdout
        assert "restore" in stdout
        cluster.start()
        slow(shop, 0)
        again = start("upgrade", *ANYHOW)
        stdout, stderr = again.communicate(timeout=60)
        assert again.returncode == 0, stdout + stderr
        assert "died before it ended" in stdout


def test_who_may_keep_no_records_is_told_the_line_for_an_administrator(
    shop: Project, pgsteady: Pgsteady, sql: Sql, external_server: Any, database: str
) -> None:
    sql("DROP SCHEMA pgsteady CASCADE")
    name = database.rpartition("/")[2]
    with external_server().cluster.session(name) as administrator:
        administrator.execute(f'ALTER DATABASE "{name}" OWNER TO postgres')
        administrator.execute("GRANT CREATE ON SCHEMA public TO orion")
    refused = pgsteady("upgrade", *ANYHOW, exits=3)
    assert f"GRANT CREATE ON DATABASE {name} TO orion;" in refused.stderr


def test_what_a_role_may_not_see_of_a_blocker_is_said(
    shop: Project, database: str, external_server: Any
) -> None:
    with (
        external_server().cluster.session(database.rpartition("/")[2]) as administrator,
        ThreadPoolExecutor(1) as pool,
        connect(parse(database, "the test")) as waiting,
        connect(parse(database, "the test")) as observer,
    ):
        administrator.execute("BEGIN; LOCK TABLE items")
        ours = waiting.scalars(text("SELECT pg_backend_pid()")).one()
        pool.submit(waiting.execute, text("SELECT 'a secret' FROM items"))
        until(lambda: blockers(observer, [ours]))
        (blocker,) = blockers(observer, [ours])
        administrator.execute("ROLLBACK")
    assert str(blocker).endswith("(for items): user postgres; the rest is not shown to this role")
    assert blockers(observer, []) == []


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_backoff_is_full_jitter_below_its_cap(attempts: int, drawn: float) -> None:
    wait_s = Retries(random=lambda: drawn).wait_s(attempts)
    assert wait_s == drawn * min(CAP_S, BASE_S * 2 ** min(attempts, 1000))
