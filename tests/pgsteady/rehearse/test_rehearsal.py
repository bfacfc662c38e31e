"""What a rehearsal says of a change, and that it leaves the live database as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest
from jobs import ADD, DROP, FIRST, FIRST_BACK, ROWS, Rehearse

from pgsteady.backup import backups
from pgsteady.connection import connect
from pgsteady.errors import RevisionUnknown
from pgsteady.progress import Advance, Silent
from pgsteady.project import Project
from pgsteady.rehearse import Rehearsal, change_sha256, last_rehearsal, rehearse
from pgsteady.verify import Evidence, take
from toy import Project as Toy

Sql = Callable[..., list[tuple[object, ...]]]

DOUBLE = 'op.execute("UPDATE jobs SET cost = cost * 2 WHERE id > 0")'
HALVE = 'op.execute("UPDATE jobs SET cost = cost / 2 WHERE id > 0")'


def declare(project: Toy, revision: str, declaration: str) -> None:
    with (project.versions / f"{revision}.py").open("a") as file:
        file.write(f"{declaration}\n")


def codes(rehearsal: Rehearsal) -> set[str]:
    return {finding.code for finding in rehearsal.findings if finding.severity == "error"}


def content(project: Toy) -> Evidence:
    loaded = Project.load(project.ini)
    with connect(loaded.database()) as connection, connection.begin():
        return take(connection, loaded)


def test_a_good_change_is_a_go(filled: Toy, rehearsed: Rehearse) -> None:
    filled.revision("b", ADD, DROP, down="a")
    rehearsal = rehearsed()
    assert rehearsal.go, rehearsal.reasons
    assert (rehearsal.from_revisions, rehearsal.to_revisions) == (("a",), ("b",))
    assert rehearsal.way_back == ["alembic downgrade a"]
    assert rehearsal.undone
    assert rehearsal.again is not None
    (backup,) = backups(filled.folder / "backups")
    assert rehearsal.backup == backup.folder
    assert backup.manifest.proved


def test_from_an_empty_database(project: Toy, database: str) -> None:
    """There, nobody owns a version table yet by whom to tell whose objects are whose."""
    assert database
    project.revision("a", FIRST, FIRST_BACK)
    rehearsal = rehearse(Project.load(project.ini))
    assert rehearsal.go, rehearsal.reasons


def test_the_live_database_is_only_read(
    filled: Toy, rehearsed: Rehearse, database: str, catalog: Callable[[], set[str]]
) -> None:
    """EXCLUSIVE lets nobody else have more than ACCESS SHARE."""
    filled.revision("b", ADD, DROP, down="a")
    before = catalog(), content(filled)
    guard = psycopg2.connect(database)
    with guard, guard.cursor() as cursor:
        cursor.execute("LOCK TABLE jobs, notes, alembic_version IN EXCLUSIVE MODE")
        assert rehearsed().go
    guard.close()
    assert {line for line in catalog() if "pgsteady" not in line} == {
        line for line in before[0] if "pgsteady" not in line
    }
    assert content(filled) == before[1]


def test_nothing_is_pending(rehearsed: Rehearse, filled: Toy) -> None:
    rehearsal = rehearsed()
    assert rehearsal.go
    assert rehearsal.forth is None
    assert not backups(filled.folder / "backups")


def test_only_up_to_the_target(filled: Toy, rehearsed: Rehearse) -> None:
    filled.revision("b", ADD, DROP, down="a")
    filled.revision("c", "1 / 0", down="b")
    rehearsal = rehearsed("b")
    assert rehearsal.go, rehearsal.reasons
    assert [step.revision for step in rehearsal.steps] == ["b"]
    with pytest.raises(RevisionUnknown):
        rehearsed("nowhere")


def test_an_undeclared_change_of_data(filled: Toy, rehearsed: Rehearse) -> None:
    filled.revision("b", DOUBLE, HALVE, down="a")
    rehearsal = rehearsed()
    assert "changed-values" in codes(rehearsal)
    assert rehearsal.undone


@pytest.mark.slow
def test_a_declared_change_of_data(filled: Toy, rehearsed: Rehearse) -> None:
    filled.revision("b", DOUBLE, HALVE, down="a")
    declare(filled, "b", 'changes = {"jobs.cost": "cost * 2"}')
    assert not {"changed-values", "not-as-declared"} & codes(rehearsed())


def test_what_was_declared_is_not_what_was_done(filled: Toy, rehearsed: Rehearse) -> None:
    filled.revision("b", DOUBLE, HALVE, down="a")
    declare(filled, "b", 'changes = {"jobs.cost": "cost * 3"}')
    assert "not-as-declared" in codes(rehearsed())


def test_irreversible(filled: Toy, rehearsed: Rehearse) -> None:
    filled.revision("b", 'op.execute("DELETE FROM jobs WHERE id <= 10")', "pass", down="a")
    declare(filled, "b", 'changes = {"jobs": "id > 10"}\nirreversible = "the oldest jobs"')
    rehearsal = rehearsed()
    assert not {"lost-rows", "downgrade-differs"} & codes(rehearsal)
    assert rehearsal.lost[0] == "b: the oldest jobs"
    assert f"10 rows too few: {ROWS - 10} now, {ROWS} before" in rehearsal.lost[1]
    (way,) = rehearsal.way_back
    assert way.endswith(f"restore {rehearsal.backup}")


@pytest.mark.parametrize(
    ("downgrade", "code"),
    [
        ("pass", "downgrade-differs"),
        ("raise NotImplementedError", "downgrade-fails"),
        (f'{DROP}; op.execute("DELETE FROM jobs WHERE id = 7")', "lost-rows"),
    ],
)
def test_no_way_back(filled: Toy, rehearsed: Rehearse, downgrade: str, code: str) -> None:
    filled.revision("b", ADD, downgrade, down="a")
    rehearsal = rehearsed()
    assert code in codes(rehearsal)
    assert not rehearsal.undone
    assert "restore" in rehearsal.way_back[0]


def test_a_failing_revision_is_rolled_back(filled: Toy, rehearsed: Rehearse) -> None:
    filled.revision("b", ADD, DROP, down="a")
    failing = 'op.execute("ALTER TABLE jobs ADD x int"); op.execute("SELECT 1 / 0")'
    filled.revision("c", failing, "pass", down="b")
    (reason,) = [r for r in rehearsed().reasons if "cannot be applied" in r]
    assert reason == (
        "revision c: it cannot be applied: c.py:7: SELECT 1 / 0: division by zero. "
        "All of it is rolled back; the database stays at b."
    )


def test_a_revision_that_fails_half_way(filled: Toy, rehearsed: Rehearse) -> None:
    block = (
        'op.execute("ALTER TABLE jobs ADD x int")\n'
        "    with op.get_context().autocommit_block():\n"
        '        op.execute("CREATE UNIQUE INDEX CONCURRENTLY ix_one ON jobs ((cost > 3))")'
    )
    filled.revision("b", block, "pass", down="a")
    (reason,) = [r for r in rehearsed().reasons if "cannot be applied" in r]
    assert "the database stays at a, and keeps: ALTER TABLE jobs ADD x int." in reason
    assert "INVALID" in reason


def test_a_right_that_the_role_has_not(filled: Toy, rehearsed: Rehearse) -> None:
    filled.revision("b", """op.execute("COPY jobs TO PROGRAM 'true'")""", "pass", down="a")
    (reason,) = [r for r in rehearsed().reasons if "cannot be applied" in r]
    assert "permission denied" in reason


@pytest.mark.slow
def test_a_statement_takes_too_long(filled: Toy, rehearsed: Rehearse) -> None:
    filled.revision("b", 'op.execute("SELECT pg_sleep(60)")', "pass", down="a")
    (reason,) = [r for r in rehearsed(limit_s=0.2).reasons if "cannot be applied" in r]
    assert "statement timeout" in reason


def test_a_table_is_closed_too_long(filled: Toy, rehearsed: Rehearse) -> None:
    slow = f'{ADD}; op.execute("SELECT pg_sleep(1.1)")'
    filled.revision("b", slow, DROP, down="a")
    assert codes(rehearsed(longest_block_s=1)) == {"blocks-too-long"}


def test_the_limit_may_be_below_what_people_notice(filled: Toy, rehearsed: Rehearse) -> None:
    filled.revision("b", f'{ADD}; op.execute("SELECT pg_sleep(0.3)")', DROP, down="a")
    assert codes(rehearsed(longest_block_s=0.2)) == {"blocks-too-long"}


def test_each_step_has_its_title(filled: Toy, rehearsed: Rehearse) -> None:
    titles: list[str] = []

    class Told(Silent):
        @contextmanager
        def step(self, _title: str, _total: float | None = None) -> Iterator[Advance]:
            titles.append(_title)
            yield lambda _done: None

    filled.revision("b", ADD, DROP, down="a")
    rehearsed(progress=Told())
    assert [title for title in titles if "the revisions" in title] == [
        "Applying the revisions",
        "Undoing the revisions",
        "Applying the revisions again",
    ]


@pytest.mark.slow
def test_branches_and_their_merge(filled: Toy, rehearsed: Rehearse) -> None:
    filled.revision("b1", ADD, DROP, down="a")
    filled.revision(
        "b2",
        'op.execute("ALTER TABLE notes ADD x text")',
        'op.execute("ALTER TABLE notes DROP x")',
        down="a",
    )
    rehearsal = rehearsed()
    assert rehearsal.go, rehearsal.reasons
    assert "several-heads" in {finding.code for finding in rehearsal.lint}
    assert rehearsal.to_revisions == ("b1", "b2")
    assert rehearsal.way_back == ["alembic downgrade a"]
    filled.run("upgrade", "b1")
    filled.run("merge", "heads", rev_id="c", message="both")
    rehearsal = rehearsed()
    assert rehearsal.go, rehearsal.reasons
    assert (rehearsal.from_revisions, rehearsal.to_revisions) == (("b1",), ("c",))
    assert {step.revision for step in rehearsal.steps} == {"b2", "c"}
    filled.run("upgrade", "head")
    for way in rehearsal.way_back:
        filled.typed(*way.split()[1:])
    assert rehearsed().from_revisions == ("b1",)


def test_which_change_was_rehearsed(filled: Toy, rehearsed: Rehearse, sql: Sql) -> None:
    filled.revision("b", ADD, DROP, down="a")
    filled.revision("c", "pass", "pass", down="b")

    def known() -> bool:
        loaded = Project.load(filled.ini)
        with connect(loaded.database()) as connection, connection.begin():
            change = change_sha256(loaded, connection, "heads")
            found = last_rehearsal(connection, change)
            assert found is None or (found.go and found.report["change_sha256"] == change)
            return found is not None

    assert not known()
    assert rehearsed().go
    assert known()
    sql("CREATE INDEX by_hand ON jobs (cost)")
    assert not known()
    sql("DROP INDEX by_hand")
    sql("INSERT INTO jobs VALUES (0, 'one more', 1)")
    assert known()
    declare(filled, "c", "# edited")
    assert not known()
    assert rehearsed().go
    filled.run("upgrade", "b")
    assert not known()


@pytest.mark.slow
def test_where_nothing_may_be_recorded(
    filled: Toy, rehearsed: Rehearse, database: str, external_server: Callable[..., object]
) -> None:
    filled.revision("b", ADD, DROP, down="a")
    name = database.rpartition("/")[2]
    with external_server().cluster.session(name) as cursor:  # type: ignore[attr-defined]
        cursor.execute("ALTER TABLE pgsteady.rehearsal OWNER TO postgres")
        cursor.execute("REVOKE INSERT ON pgsteady.rehearsal FROM orion, PUBLIC")
        cursor.execute("GRANT SELECT ON ALL TABLES IN SCHEMA pgsteady TO orion")
        cursor.execute("GRANT SELECT ON ALL SEQUENCES IN SCHEMA pgsteady TO orion")
    rehearsal = rehearsed()
    assert rehearsal.go, rehearsal.reasons
    (warning,) = [f for f in rehearsal.findings if f.code == "not-recorded"]
    assert "GRANT" in warning.cure


@pytest.mark.slow
def test_a_change_during_the_rehearsal_is_not_recorded(
    filled: Toy, rehearsed: Rehearse, database: str, sql: Sql, tmp_path: Path
) -> None:
    by_hand = (
        "import psycopg2; c = psycopg2.connect(%r); "
        "c.cursor().execute('CREATE TABLE IF NOT EXISTS by_hand ()'); c.commit(); c.close()"
    )
    filled.revision("b", by_hand % database, "pass", down="a")
    rehearsal = rehearsed()
    assert "changed-meanwhile" in {finding.code for finding in rehearsal.findings}
    assert sql("SELECT count(*) FROM pgsteady.rehearsal") == [(0,)]
    assert tmp_path.exists()
