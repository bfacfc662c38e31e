"""What is seen of a statement: locks, rewrites, indexes; on a server of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pgsteady.connection import connect
from pgsteady.project import Project
from pgsteady.rehearse import running, wording
from pgsteady.rehearse import trace as tracing
from pgsteady.rehearse.timeline import LEGEND, timeline
from pgsteady.rehearse.trace import Statement
from pgsteady.server import private_server, url_of
from pgsteady.url import DatabaseUrl
from toy import Project as Toy

ROWS = 20_000
Trace = Callable[..., running.Run]


@contextmanager
def server(major: int) -> Iterator[DatabaseUrl]:
    with private_server(major) as cluster:
        yield url_of(cluster, "postgres")


@pytest.fixture(scope="module", params=[pytest.param(16, marks=pytest.mark.slow), 18])
def place(request: pytest.FixtureRequest) -> Iterator[DatabaseUrl]:
    with server(request.param) as database:
        yield database


@pytest.fixture
def trace(place: DatabaseUrl, project: Toy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trace]:
    """Run revisions on a table ``t`` with rows, each given by its code; return what was seen."""
    monkeypatch.setenv("DATABASE_URL", place.libpq())
    fill = (
        "CREATE TABLE t (id bigint PRIMARY KEY, n integer NOT NULL)",
        f"INSERT INTO t SELECT i, i FROM generate_series(1, {ROWS}) AS i",
    )
    with connect(place) as connection, connection.begin():
        for statement in fill:
            connection.exec_driver_sql(statement)

    def run(*revisions: str) -> running.Run:
        down = None
        for number, upgrade in enumerate(revisions):
            project.revision(f"r{number}", upgrade, down=down)
            down = f"r{number}"
        loaded = Project.load(project.ini)
        scripts = list(loaded.script.walk_revisions())[::-1]
        return running.upgrade(loaded, place, scripts)

    yield run
    with connect(place) as connection, connection.begin():
        connection.exec_driver_sql("DROP TABLE IF EXISTS t, u, alembic_version CASCADE")


def only(run: running.Run) -> Statement:
    (step,) = run.steps
    (statement,) = step.statements
    return statement


@pytest.mark.parametrize(
    ("sql", "mode", "rewritten", "built"),
    [
        ("ALTER TABLE t ADD x int", "ACCESS EXCLUSIVE", [], []),
        ("ALTER TABLE t ALTER n TYPE bigint", "ACCESS EXCLUSIVE", ["public.t"], ["public.t_pkey"]),
        ("CREATE INDEX by_n ON t (n)", "SHARE", [], ["public.by_n"]),
        ("CREATE TRIGGER no BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION "
         "suppress_redundant_updates_trigger()", "SHARE ROW EXCLUSIVE", [], []),
        ("UPDATE t SET n = 0 WHERE id % 9 = 1", "ROW EXCLUSIVE", [], []),
        ("ALTER TABLE t ALTER n SET STATISTICS 10", "SHARE UPDATE EXCLUSIVE", [], []),
    ],
)  # fmt: skip
def test_locks_rewrites_and_indexes(
    trace: Trace, sql: str, mode: str, rewritten: list[str], built: list[str]
) -> None:
    statement = only(trace(f'op.execute("{sql}")'))
    assert statement.sql == sql
    assert [(lock.relation, lock.mode) for lock in statement.locks] == [("public.t", mode)]
    assert statement.rewritten == rewritten
    assert statement.built == built
    assert statement.committed
    assert not statement.alone


def test_a_statement_by_itself(trace: Trace) -> None:
    block = "with op.get_context().autocommit_block(): op.execute(%r)"
    statement = only(trace(block % "CREATE INDEX CONCURRENTLY by_n ON t (n)"))
    assert [lock.mode for lock in statement.locks] == ["SHARE UPDATE EXCLUSIVE"]
    assert statement.built == ["public.by_n"]
    assert statement.alone
    assert statement.committed


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS by_n ON ONLY public.t (n)",
        "DROP INDEX CONCURRENTLY by_n",
        "REINDEX INDEX CONCURRENTLY by_n",
        "REINDEX (VERBOSE) TABLE CONCURRENTLY t",
        'VACUUM ANALYZE "t"',
        "VACUUM (ANALYZE, VERBOSE) t",
    ],
)
def test_the_lock_of_a_statement_too_short_to_be_watched(
    trace: Trace, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    """The observer looks once, and mostly before the lock is there."""
    monkeypatch.setattr(tracing, "POLL_S", 60)
    indexed = "" if sql.startswith("CREATE") else "op.execute('CREATE INDEX by_n ON t (n)')"
    block = "with op.get_context().autocommit_block(): op.execute(%r)"
    step = trace(indexed or "pass", block % sql).steps[-1]
    (statement,) = step.statements
    assert [(lock.relation, lock.mode) for lock in statement.locks] == [
        ("public.t", "SHARE UPDATE EXCLUSIVE")
    ]


def test_a_statement_sent_again_has_its_lock_once(trace: Trace) -> None:
    again = "for _ in range(3): op.execute('VACUUM t')"
    statement = only(trace(f"with op.get_context().autocommit_block():\n        {again}"))
    assert statement.times == 3
    assert [lock.mode for lock in statement.locks] == ["SHARE UPDATE EXCLUSIVE"]


@pytest.mark.parametrize("sql", ["VACUUM (FULL) u", "ALTER SYSTEM RESET ALL"])
def test_a_lock_that_could_not_be_seen_is_not_denied(
    trace: Trace, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    monkeypatch.setattr(tracing, "POLL_S", 60)
    block = "with op.get_context().autocommit_block(): op.execute(%r)"
    run = trace("op.execute('CREATE TABLE u ()')", block % sql)
    (statement,) = run.steps[-1].statements
    assert {lock.mode for lock in statement.locks} <= {"ACCESS EXCLUSIVE"}  # the one look had luck
    assert statement.locks or "locks not seen: too short" in wording.effects(statement)
    assert "no lock that others meet" not in timeline(run) + str(LEGEND)


def test_a_new_table_is_in_nobodys_way(trace: Trace) -> None:
    upgrade = 'op.execute("CREATE TABLE u (id int)"); op.execute("ALTER TABLE u ADD x text")'
    (step,) = trace(upgrade).steps
    assert [statement.locks for statement in step.statements] == [[], []]


def test_a_lock_is_held_to_the_end_of_its_transaction(trace: Trace) -> None:
    sleep = 'op.execute("SELECT pg_sleep(0.2)")'
    first, second = trace(f'op.execute("ALTER TABLE t ADD x int"); {sleep}', sleep).steps
    altered, slept = first.statements
    (lock,) = altered.locks
    assert lock.held_ms >= altered.ms + slept.ms
    assert lock.held_ms <= second.statements[0].began_ms - altered.began_ms
    assert slept.under == lock
    assert second.statements[0].under is None


def test_many_alike_are_one(trace: Trace) -> None:
    update = 'sa.text("UPDATE t SET n = 0 WHERE id = :i").bindparams(i=i)'
    statement = only(trace(f"[op.execute({update}) for i in range(1, 31)]"))
    assert (statement.times, statement.rows) == (30, 30)


def test_a_failing_statement_is_named(trace: Trace) -> None:
    run = trace('op.execute("ALTER TABLE t ADD x int"); op.execute("SELECT 1 / 0")')
    assert run.failed is not None
    assert run.failed.failure == "division by zero"
    altered, failing = run.failed.statements
    assert (failing.sql, failing.error) == ("SELECT 1 / 0", "division by zero")
    assert not altered.committed


def test_a_revision_that_goes_on_after_an_error(trace: Trace) -> None:
    attempt = (
        "import contextlib; from sqlalchemy.exc import DBAPIError\n"
        "    with contextlib.suppress(DBAPIError), op.get_bind().begin_nested():\n"
        '        op.execute("SELECT 1 / 0")\n'
        '    op.execute("ALTER TABLE t ADD x int")'
    )
    run = trace(attempt)
    assert run.failed is None
    (step,) = run.steps
    seen = {statement.sql: statement for statement in step.statements}
    assert "went on" in seen["SELECT 1 / 0"].error
    assert seen["ALTER TABLE t ADD x int"].committed


def test_a_revision_may_set_its_transaction(trace: Trace) -> None:
    chosen = 'op.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")'
    assert trace("pass", chosen).failed is None


def test_a_revision_that_looks_for_the_database_finds_the_copy(
    trace: Trace, place: DatabaseUrl, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@localhost:1/live")
    found = tmp_path / "found"
    trace(f"import os; open({str(found)!r}, 'w').write(os.environ['DATABASE_URL'])")
    assert found.read_text() == place.libpq()
