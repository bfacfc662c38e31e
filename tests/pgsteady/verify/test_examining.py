"""What ``examine`` says, and what it takes no notice of."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filled import Filled, Template

from pgsteady.connection import connect
from pgsteady.errors import WrongDeclaration
from pgsteady.project import Project
from pgsteady.server import private_server, url_of
from pgsteady.verify import compare, examine, take
from toy import Project as Toy

CHECKS = """
from pgsteady.finding import Finding, Severity

def recall(connection, project):
    rows = connection.exec_driver_sql("SELECT count(*) FROM people").scalar()
    yield Finding(severity=Severity.WARNING, code="low-recall", object="people", message=f"{rows}")

def writing(connection, project):
    connection.exec_driver_sql("DELETE FROM people")

def faulty(connection, project):
    return 1 / 0

def failing(connection, project):
    return connection.exec_driver_sql("SELECT no_such").all()
"""

AMCHECK = """
CREATE FUNCTION bt_index_check(index regclass, heapallindexed boolean) RETURNS void
LANGUAGE plpgsql AS $$ BEGIN
  IF index = 'public.people_email'::regclass AND heapallindexed THEN
    RAISE index_corrupted USING MESSAGE = 'item order invariant violated';
  END IF;
END $$;
INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
SELECT 60000, 'amcheck', 10, oid, true, '1.5' FROM pg_namespace WHERE nspname = 'public';
"""


@pytest.fixture
def extended(
    museum: Filled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Filled]:
    """Return a function that names further checks in a copy of the project."""
    (tmp_path / "own_checks.py").write_text(CHECKS)
    monkeypatch.syspath_prepend(str(tmp_path))

    def named(checks: str) -> Filled:
        toy = Toy(tmp_path / "project")
        with toy.ini.open("a") as ini:
            ini.write(f"\n[pgsteady]\nverify = {checks}\n")
        return Filled(museum.server, museum.template, museum.name, Project.load(toy.ini))

    return named


def test_further_checks_are_run(extended: Callable[..., Filled]) -> None:
    found = extended("own_checks:recall own_checks:failing own_checks:writing").examine()
    assert [(f.code, f.object) for f in found] == [
        ("low-recall", "people"),
        ("failed-check", "check own_checks:failing"),
        ("failed-check", "check own_checks:writing"),
    ]
    assert found[0].message == "100"
    assert "read-only" in found[2].message


def test_check_of_an_installed_package(extended: Callable[..., Filled], tmp_path: Path) -> None:
    package = tmp_path / "own_checks-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: own-checks\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[pgsteady.verify]\nrecall = own_checks:recall\n")
    assert [finding.code for finding in extended("").examine()] == ["low-recall"]


class Told:
    """Notes how far each step came."""

    def __init__(self) -> None:
        self.shares: dict[str, float | None] = {}

    @contextmanager
    def step(self, title: str, total: float | None = None) -> Iterator[Callable[[float], None]]:
        self.shares[title] = None if total is None else 0
        yield lambda done: self.shares.update({title: done / (total or 1)})

    def note(self, message: str) -> None:
        """Take no notice."""


def test_every_step_is_told_to_its_end(museum: Filled) -> None:
    told = Told()
    with museum.snapshot() as connection:
        take(connection, museum.project, progress=told)
        examine(connection, museum.project, progress=told)
    assert len(told.shares) == 7
    assert {share for share in told.shares.values() if share is not None} == {1}


@pytest.mark.parametrize(
    ("check", "why"), [("missing", "cannot be loaded"), ("faulty", "ZeroDivisionError")]
)
def test_check_that_cannot_be_used(extended: Callable[..., Filled], check: str, why: str) -> None:
    with pytest.raises(WrongDeclaration, match=f"own_checks:{check}.* {why}"):
        extended(f"own_checks:{check}").examine()


def test_amcheck_is_called_where_it_is_installed(museum: Filled) -> None:
    """No server at hand has amcheck: a function stands in its place and finds one index wrong."""
    museum.sql(AMCHECK)
    assert [(f.code, f.object, f.message) for f in museum.examine()] == [
        (
            "index-disagrees",
            "index public.people.people_email",
            "it is damaged (item order invariant violated): queries that use it give wrong answers",
        )
    ]
    museum.sql("REVOKE EXECUTE ON FUNCTION bt_index_check FROM PUBLIC")
    assert museum.examine() == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT setval('orders_id_seq', max(id) + 1, false) FROM orders",
        "SELECT setval('orders_id_seq', max(id)) FROM orders",
        "ALTER SEQUENCE orders_id_seq RESTART 2000",
    ],
)
def test_sequence_may_be_set_in_every_way(
    sql: str, museums: Callable[[int], Template], clone: Callable[[Template], Filled]
) -> None:
    template = museums(18)
    filled = clone(template)
    filled.sql(sql)
    assert [*filled.examine(), *filled.against(template.evidence)] == []


def test_invariant_of_a_pending_revision_waits(database: str, project: Toy) -> None:
    project.revision("001_t", "op.execute('CREATE TABLE t (id int)')")
    project.run("upgrade", "head")
    project.models(
        "metadata.info['invariants'] = {'later': 'SELECT 1 FROM t WHERE yet_to_come'}\n"
        "metadata.info['hot_queries'] = {'later': 'SELECT * FROM yet_to_come'}\n"
    )
    at_head = {f.code for f in _examine(project)}
    project.revision("002_t", "op.execute('SELECT 1')", down="001_t")
    assert at_head == {"failed-invariant", "broken-query"}
    assert _examine(project) == []


def _examine(toy: Toy) -> list[object]:
    project = Project.load(toy.ini)
    with connect(project.database()) as connection, connection.begin():
        return list(examine(connection, project))


@pytest.mark.parametrize(
    "constraint",
    ["CHECK (note < '5')", "FOREIGN KEY (item) REFERENCES people (email)"],
)
def test_what_is_not_valid_may_be_broken(museum: Filled, constraint: str) -> None:
    museum.sql(f"ALTER TABLE orders ADD CONSTRAINT later {constraint} NOT VALID")
    found = museum.examine()
    assert {finding.object for finding in found} == {"constraint public.orders.later"}
    assert {finding.code for finding in found} > {"not-valid"}
    assert {finding.severity for finding in found} == {"warning"}


def test_what_may_not_be_read_is_no_damage(museum: Filled) -> None:
    museum.sql("ALTER TABLE bookings OWNER TO postgres; REVOKE ALL ON bookings FROM orion")
    assert {(f.severity, f.code, f.object.split()[1]) for f in museum.examine()} == {
        ("warning", "not-read", f"public.bookings{part}")
        for part in ("", ".bookings_pkey", ".bookings_apart")
    }


@pytest.mark.slow
def test_damaged_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bit that the disk turned is found by reading, in the table and in what is stored apart."""
    with private_server(18) as cluster:
        url = url_of(cluster, "postgres")
        monkeypatch.setenv("DATABASE_URL", url.url.render_as_string(hide_password=False))
        toy = Toy(tmp_path)
        toy.revision(
            "001_t", "op.execute('CREATE TABLE plain (id int); CREATE TABLE wide (x text)')"
        )
        toy.run("upgrade", "head")
        project = Project.load(toy.ini)
        with cluster.session() as cursor:
            cursor.execute("ALTER TABLE wide ALTER x SET STORAGE EXTERNAL")
            cursor.execute("INSERT INTO plain SELECT generate_series(1, 1000)")
            cursor.execute("INSERT INTO wide SELECT repeat('x', 10000)")
            cursor.execute("CHECKPOINT")
            cursor.execute(
                "SELECT pg_relation_filepath(oid), pg_relation_filepath(reltoastrelid) "
                "FROM pg_class WHERE relname IN ('plain', 'wide') ORDER BY relname"
            )
            (plain, _), (_, wide) = cursor.fetchall()
        with connect(url) as connection, connection.begin():
            before = take(connection, project)
        cluster.stop()
        for file in (plain, wide):
            with (cluster.data / file).open("r+b") as pages:
                pages.seek(-9, os.SEEK_END)
                byte = pages.read(1)[0]
                pages.seek(-1, os.SEEK_CUR)
                pages.write(bytes([byte ^ 4]))
        cluster.start()
        with connect(url) as connection, connection.begin():
            examined = {(f.code, f.object) for f in examine(connection, project)}
            compared = {
                (f.severity, f.code, f.object)
                for f in compare(before, take(connection, project, like=before))
            }
    assert examined == {("unreadable", "table public.plain")}
    assert compared == {("error", "not-read", f"table public.{name}") for name in ("plain", "wide")}


def test_damage_to_indexes_is_mended_by_what_is_said(
    museums: Callable[[int], Template], clone: Callable[[Template], Filled]
) -> None:
    filled = clone(museums(18))
    filled.sql("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'orders_of'::regclass")
    filled.sql("SELECT setval('orders_id_seq', 5); ALTER TABLE people DISABLE TRIGGER ALL")
    found = filled.examine()
    assert len(found) > 3
    for finding in found:
        filled.sql(finding.sql)
    assert filled.examine() == []
