"""Declared changes are checked by their rule; what no revision declares is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from filled import Filled

from pgsteady.declarations import declared, declared_by
from pgsteady.errors import WrongDeclaration
from pgsteady.project import Project
from pgsteady.verify import Sample, examine, take
from toy import Project as Toy

START = """
CREATE TABLE jobs (id integer PRIMARY KEY, price numeric, hours integer, state text);
CREATE TABLE notes (line text, grade integer);
INSERT INTO jobs SELECT n, n * 1.5, n % 7, CASE n % 4 WHEN 0 THEN 'old' ELSE 'new' END
FROM generate_series(1, 40) n;
INSERT INTO notes SELECT 'note ' || n % 5, n % 3 FROM generate_series(1, 20) n;
"""


class Changed:
    """A database before its pending revisions, and then as they leave it."""

    def __init__(self, toy: Toy, url: str, server: Any) -> None:
        self.toy, self.url, self.server = toy, url, server
        toy.revision("001_start", f"op.execute({START!r})", "op.execute('DROP TABLE jobs, notes')")
        toy.run("upgrade", "head")
        self.last = "001_start"

    def revision(self, sql: str, changes: object = None, more: str = "") -> None:
        """Add a pending revision that runs ``sql`` and declares ``changes``."""
        number = int(self.last[:3]) + 1
        id_ = f"{number:03}_next"
        self.toy.revision(id_, f"op.execute({sql!r})", down=self.last)
        file = self.toy.versions / f"{id_}.py"
        said = f"changes = {changes!r}\n" if changes is not None else ""
        file.write_text(file.read_text() + said + more)
        self.last = id_

    def found(self, target: str = "head", **options: Any) -> set[tuple[str, str]]:
        """Upgrade, and return what is not as declared; what is only worth knowing has a ~."""
        project = Project.load(self.toy.ini)
        filled = Filled(self.server, "", "", project)
        pending = [s.revision for s in project.script.walk_revisions() if s.revision >= "002"]
        before = filled.take(url=self.url, pending=pending, **options)
        self.toy.run("upgrade", target)
        found = filled.against(before, url=self.url)
        return {(("~" if f.severity == "info" else "") + f.code, f.object) for f in found}


@pytest.fixture
def changed(project: Toy, database: str, external_server: Callable[[int], Any]) -> Changed:
    return Changed(project, database, external_server(18))


def test_new_column_is_what_its_expression_gives(changed: Changed) -> None:
    changed.revision(
        "ALTER TABLE jobs ADD cents integer; UPDATE jobs SET cents = price * 100",
        {"jobs.cents": "(price * 100)::integer"},
    )
    assert changed.found() == set()


def test_new_column_that_is_something_else_is_told(changed: Changed) -> None:
    changed.revision(
        "ALTER TABLE jobs ADD cents integer; UPDATE jobs SET cents = price * 100 WHERE id > 1",
        {"jobs.cents": "(price * 100)::integer"},
    )
    assert changed.found() == {("not-as-declared", "column public.jobs.cents")}


def test_rows_that_stay(changed: Changed) -> None:
    changed.revision("DELETE FROM jobs WHERE state = 'old'", {"jobs": "state <> 'old'"})
    assert changed.found() == set()


def test_row_too_many_deleted(changed: Changed) -> None:
    changed.revision("DELETE FROM jobs WHERE state = 'old' OR id = 1", {"jobs": "state <> 'old'"})
    assert changed.found() == {("lost-rows", "table public.jobs")}


def test_another_row_deleted_than_declared(changed: Changed) -> None:
    changed.revision("DELETE FROM jobs WHERE id = 2", {"jobs": "id <> 1"})
    assert changed.found() == {("replaced-rows", "table public.jobs")}


def test_undeclared_change_beside_a_declared_one(changed: Changed) -> None:
    changed.revision(
        "UPDATE jobs SET state = upper(state), hours = hours + (id = 7)::int",
        {"jobs.state": "upper(state)"},
    )
    assert changed.found() == {("changed-values", "column public.jobs.hours")}


def test_several_revisions_add_up(changed: Changed) -> None:
    changed.revision("UPDATE jobs SET hours = hours + 1", {"jobs.hours": "hours + 1"})
    changed.revision(
        "DELETE FROM jobs WHERE hours > 5; UPDATE jobs SET hours = hours * 10",
        {"public.jobs": "hours <= 5", "public.jobs.hours": "hours * 10"},
    )
    assert changed.found() == set()


def test_part_of_the_pending_revisions(changed: Changed) -> None:
    changed.revision("UPDATE jobs SET hours = hours + 1", {"jobs.hours": "hours + 1"})
    changed.revision("UPDATE jobs SET hours = hours * 10", {"jobs.hours": "hours * 10"})
    assert changed.found("002_next") == set()


def test_anything_may_come_out(changed: Changed) -> None:
    changed.revision(
        "UPDATE jobs SET price = random(); DELETE FROM notes", {"jobs.price": None, "notes": None}
    )
    assert changed.found() == set()


def test_expression_over_another_table(changed: Changed) -> None:
    longest = "(SELECT max(line) FROM notes WHERE grade = hours % 3)"
    changed.revision(f"UPDATE jobs SET state = {longest}", {"jobs.state": longest})
    assert changed.found() == set()


@pytest.mark.parametrize(("by", "codes"), [(1, set()), (2, {"not-as-declared"})])
def test_sampled_like_the_rest(changed: Changed, by: int, codes: set[str]) -> None:
    changed.revision(f"UPDATE jobs SET hours = hours + {by}", {"jobs.hours": "hours + 1"})
    assert {code for code, _ in changed.found(sample=Sample(3, above_bytes=0))} == codes


def test_table_without_a_key(changed: Changed) -> None:
    changed.revision(
        "UPDATE notes SET grade = grade + 1; DELETE FROM notes WHERE line = 'note 1'",
        {"notes.grade": "grade + 1", "notes": "line <> 'note 1'"},
    )
    assert changed.found() == set()


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE jobs ALTER id TYPE bigint, ALTER hours TYPE smallint, ALTER state TYPE "
        "varchar(9); ALTER TABLE jobs ADD fresh integer DEFAULT 7; CREATE TABLE more ()",
        "ALTER TABLE jobs RENAME id TO job_id",
        "ALTER TABLE jobs DROP CONSTRAINT jobs_pkey, ADD other uuid PRIMARY KEY "
        "DEFAULT gen_random_uuid()",
        "ALTER TABLE notes ADD id integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY",
        "ALTER TABLE jobs RENAME TO jobs_all; CREATE TABLE jobs (LIKE jobs_all) PARTITION BY "
        "RANGE (id); ALTER TABLE jobs ATTACH PARTITION jobs_all FOR VALUES FROM (0) TO (100)",
    ],
)
def test_what_needs_no_declaration(changed: Changed, sql: str) -> None:
    changed.revision(sql)
    assert {finding for finding in changed.found() if finding[0][0] != "~"} == set()


def test_renamed_column_keeps_its_content(changed: Changed) -> None:
    changed.revision("ALTER TABLE jobs RENAME state TO status")
    assert changed.found() == {("~renamed-column", "column public.jobs.state")}


def test_renamed_column_may_be_declared_too(changed: Changed) -> None:
    changed.revision(
        "ALTER TABLE jobs RENAME state TO status", {"jobs.status": "state -- as it was"}
    )
    assert changed.found() == {("~renamed-column", "column public.jobs.state")}


def test_renamed_table_keeps_its_content(changed: Changed) -> None:
    changed.revision("ALTER TABLE jobs RENAME TO tasks")
    assert changed.found() == {("~renamed-table", "table public.jobs")}


def test_table_is_renamed_and_changed(changed: Changed) -> None:
    changed.revision(
        "ALTER TABLE jobs RENAME TO tasks; UPDATE tasks SET hours = 0",
        {"tasks": "jobs", "tasks.hours": "0"},
    )
    changed.revision("UPDATE tasks SET state = 'x'", {"tasks.state": "'x'"})
    assert changed.found() == set()


def test_what_is_gone_held_data(changed: Changed) -> None:
    changed.revision("DROP TABLE notes; ALTER TABLE jobs DROP price")
    assert changed.found() == {
        ("lost-table", "table public.notes"),
        ("lost-column", "column public.jobs.price"),
    }


def test_key_that_is_gone(changed: Changed) -> None:
    changed.revision(
        "ALTER TABLE jobs ADD other uuid DEFAULT gen_random_uuid(); "
        "ALTER TABLE jobs DROP id; ALTER TABLE jobs ADD PRIMARY KEY (other)"
    )
    assert changed.found() == {
        ("lost-column", "column public.jobs.id"),
        ("not-compared", "table public.jobs"),
    }


@pytest.mark.parametrize(("rule", "codes"), [({}, {"changed-view"}), ({"graded": None}, set())])
def test_materialized_view(changed: Changed, rule: dict[str, None], codes: set[str]) -> None:
    changed.toy.revision(
        "001_u", "op.execute('CREATE MATERIALIZED VIEW graded AS TABLE notes')", down="001_start"
    )
    changed.toy.run("upgrade", "head")
    changed.last = "001_u"
    changed.revision(
        "UPDATE notes SET grade = 0; REFRESH MATERIALIZED VIEW graded", {"notes.grade": "0"} | rule
    )
    assert {code for code, _ in changed.found()} == codes


def test_invariant_is_withdrawn(changed: Changed) -> None:
    changed.revision("SELECT 1", more="invariants = {'a': 'SELECT 1', 'b': 'SELECT 2'}\n")
    changed.revision("SELECT 1", more="invariants = {'a': None, 'b': 'SELECT 3'}\n")
    project = Project.load(changed.toy.ini)
    assert declared_by(project, ["002_next"]).invariants == {"a": "SELECT 1", "b": "SELECT 2"}
    assert declared_by(project, ["003_next"]).invariants == {"b": "SELECT 3"}


def test_what_is_gone_was_declared(changed: Changed) -> None:
    changed.revision(
        "DROP TABLE notes; ALTER TABLE jobs DROP price", {"notes": None, "jobs.price": None}
    )
    assert changed.found() == set()


def test_emptied_first_nothing_is_lost(changed: Changed) -> None:
    changed.revision(
        "DELETE FROM notes; UPDATE jobs SET price = NULL", {"notes": "false", "jobs.price": "NULL"}
    )
    changed.revision("DROP TABLE notes; ALTER TABLE jobs DROP price")
    assert changed.found() == {
        ("~dropped-table", "table public.notes"),
        ("~dropped-column", "column public.jobs.price"),
    }


def test_key_that_may_be_anything(changed: Changed) -> None:
    changed.revision("UPDATE jobs SET id = 1000 - id", {"jobs.id": None})
    assert changed.found() == set()


def test_expression_that_cannot_be_evaluated(changed: Changed) -> None:
    changed.revision("SELECT 1", {"jobs.hours": "no_such + 1"})
    with pytest.raises(WrongDeclaration, match=r"002_next.*jobs.*no_such"):
        changed.found()


@pytest.mark.parametrize(
    "said",
    [
        "changes = ['jobs']",
        "changes = {'jobs.x': 1}",
        "invariants = {'x': 1}",
        "irreversible = 1",
    ],
)
def test_declaration_of_the_wrong_form(changed: Changed, said: str) -> None:
    changed.revision("SELECT 1", more=f"{said}\n")
    with pytest.raises(WrongDeclaration, match="002_next"):
        declared(Project.load(changed.toy.ini), ["002_next"])


def test_what_revisions_and_models_declare(changed: Changed) -> None:
    changed.toy.models(
        "metadata.info['invariants'] = {'a': 'SELECT 1'}\n"
        "Table('t', metadata, Column('x', sa.Integer), info={'hot_queries': {'q': 'SELECT 2'}})\n"
    )
    changed.revision(
        "SELECT 1", more="invariants = {'b': 'SELECT 3'}\nirreversible = 'all notes'\n"
    )
    said = declared(Project.load(changed.toy.ini), ["001_start", "002_next"])
    assert said.invariants == {"a": "SELECT 1", "b": "SELECT 3"}
    assert said.hot_queries == {"q": "SELECT 2"}
    assert said.irreversible == {"002_next": "all notes"}


def test_taking_leaves_nothing_in_the_transaction(museum: Filled) -> None:
    settings = "SELECT name, setting FROM pg_settings WHERE name !~ '^transaction|[.]' ORDER BY 1"
    with museum.snapshot() as connection:
        connection.exec_driver_sql("SET LOCAL search_path = archive, public")
        before = connection.exec_driver_sql(settings).all()
        take(connection, museum.project)
        examine(connection, museum.project)
        assert connection.exec_driver_sql(settings).all() == before
