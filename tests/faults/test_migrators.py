"""Ten migrators at once: one works, all end well, and nothing is done twice.

A round's revisions, and what happens elsewhere meanwhile, follow from its seed. CI runs ten
rounds; ``FAULTS=full``, as in ``make faults-migrators``, runs a hundred.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest
from migrators import Migrators

from toy import Project

ROUNDS = 100 if os.environ.get("FAULTS") == "full" else 10

FILLED = "CREATE TABLE a (id int PRIMARY KEY, b int); INSERT INTO a SELECT n FROM \
generate_series(1, 2000) n"
KINDS = {
    "one transaction": "op.execute('CREATE TABLE t{n} (id int)')",
    "slow": "op.execute('CREATE TABLE t{n} (id int); SELECT pg_sleep(0.1)')",
    "concurrently": """with op.get_context().autocommit_block():
        op.create_index('ix_{n}', 'a', ['b'], postgresql_concurrently=True)""",
    "column and index": """with op.get_context().autocommit_block():
        op.execute('ALTER TABLE a ADD c{n} int DEFAULT {n}')
        op.execute('CREATE INDEX CONCURRENTLY ix_{n} ON a (c{n})')""",
    "batches": """with op.get_context().autocommit_block():
        op.execute("DO $$ BEGIN FOR n IN 0..3 LOOP UPDATE a SET b = id "
                   "WHERE id % 4 = n AND b IS NULL; COMMIT; END LOOP; END $$")""",
    "before and after": """op.execute('CREATE TABLE t{n} (id int)')
    with op.get_context().autocommit_block():
        op.execute('CREATE INDEX CONCURRENTLY ix_{n} ON t{n} (id)')
    op.execute('INSERT INTO t{n} VALUES (1)')""",
}
ELSEWHERE = {
    "nothing": "SELECT 1",
    "an old snapshot": "SELECT count(*) FROM a",
    "a locked row": "UPDATE a SET b = b WHERE id = 1",
    "a locked table": "LOCK TABLE a IN ROW EXCLUSIVE MODE",
}


@pytest.fixture(scope="module")
def migrators() -> Iterator[Migrators]:
    with Migrators() as migrators:
        yield migrators


@pytest.fixture
def at_once(
    migrators: Migrators, fresh_database: Callable[..., str], tmp_path: Path
) -> Callable[[int], None]:
    def run(seed: int) -> None:
        _round(migrators, fresh_database(), Project(tmp_path / str(seed)), random.Random(seed))

    return run


def test_ten_at_once(at_once: Callable[[int], None]) -> None:
    at_once(0)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(1, ROUNDS + 1))
def test_ten_at_once_again(at_once: Callable[[int], None], seed: int) -> None:
    at_once(seed)


def _round(migrators: Migrators, url: str, project: Project, seeded: random.Random) -> None:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(FILLED)
    kinds = ["concurrently", "column and index", *seeded.choices(list(KINDS), k=3)]
    seeded.shuffle(kinds)
    ids = [f"{n:03}_{kind.replace(' ', '_')}" for n, kind in enumerate(kinds, 1)]
    for n, (id_, kind) in enumerate(zip(ids, kinds, strict=True)):
        project.revision(id_, KINDS[kind].format(n=n), down=ids[n - 1] if n else None)
    elsewhere = seeded.choice(list(ELSEWHERE))
    with open_for(url, ELSEWHERE[elsewhere], seeded.uniform(0.1, 1.0)):
        ended = migrators.run(project.ini, url, seeded.randrange(2**32))
    said = "\n".join(log for _, log in ended)
    assert [code for code, _ in ended] == [0] * len(ended), f"{elsewhere}: {said}"
    worked = [log for _, log in ended if "Running upgrade" in log]
    assert len(worked) == 1, said
    assert worked[0].count("Running upgrade") == len(ids)
    assert done(url) == [[id_] for id_ in ids]
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_index WHERE NOT indisvalid")
        assert cursor.fetchall() == [(0,)]
        cursor.execute("SELECT version_num FROM alembic_version")
        assert cursor.fetchall() == [(ids[-1],)]
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        assert cursor.fetchall() == [(0,)]
        cursor.execute(
            "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
            "WHERE locktype = 'advisory' AND datname = current_database()"
        )
        assert cursor.fetchall() == [(0,)]


def done(url: str) -> list[list[str]]:
    """Return what the audit says was applied, each as often as it was, and nothing failed."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT outcome, to_revisions FROM pgsteady.audit ORDER BY number")
        records = cursor.fetchall()
    assert {outcome for outcome, _ in records} == {"done"}
    return [revisions for _, revisions in records]


@contextmanager
def open_for(url: str, statement: str, seconds: float) -> Iterator[None]:
    """Keep a transaction open elsewhere that has run ``statement``, and end it after a while."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        connection.set_session(isolation_level="REPEATABLE READ")
        cursor.execute(statement)
        timer = threading.Timer(seconds, connection.rollback)
        timer.start()
        try:
            yield
        finally:
            timer.join()
