"""``docs/migrations.md`` as its reader follows it, on filled tables and as no superuser."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
import pytest
from pages import NOT_TYPED, PAGES, blocks_of, copy_project, sections, steps

from catalog import snapshot
from pgsteady.server import bundled

if TYPE_CHECKING:
    from servers import ExternalServer

PAGE = next(page for page in PAGES if page.name == "migrations.md")
PARTS = sections(PAGE, 2)
RECIPES = {
    title: text for title, text in sections(PAGE, 3).items() if f"### {title}\n" in PARTS["Recipes"]
}
SERVERS = [pytest.param(16, marks=pytest.mark.slow), 18]

BEFORE = {"A new embedding model": "nano-os embed run"}
"""What the reader of a recipe has done before."""

LOSES = {"Drop a column", "Drop a table", "A new embedding model"}
"""Recipes that lose rows or values, as they say."""

TAKE_LONG = {"Change a type", "A new embedding model"}

HOLDS = {
    "Add a column with a default": "SELECT bool_and(NOT email_verified) FROM users",
    "Add a NOT NULL column to a filled table": "SELECT bool_and(number_of_elements = "
    "cardinality(elements)) FROM structures JOIN materials m ON m.id = material_id",
    "Rename a column": "SELECT count(source_file) > 1000 FROM structures",
    "Change a type": "SELECT count(source_bytes) > 1000 FROM structures",
    "Add or remove an allowed value": "WITH new AS (INSERT INTO users (email, username, role) "
    "VALUES ('r@example.org', 'r', 'reviewer') RETURNING role) SELECT count(*) = 1 FROM new",
    "Add an index to a big table": "SELECT indisvalid FROM pg_index "
    "WHERE indexrelid = 'ix_structures_source_name'::regclass",
    "Add a foreign key": "SELECT convalidated FROM pg_constraint "
    "WHERE conname = 'fk_simulation_results_reviewer_id_users'",
    "Add a CHECK": "SELECT convalidated FROM pg_constraint WHERE conname = 'ck_materials_name'",
    "Change data": "SELECT count(*) > 100 AND bool_and(source_format <> 'extxyz') "
    "FROM structures WHERE source_name LIKE '%.extxyz'",
    "A new embedding model": "SELECT count(*) > 50 AND bool_and(model_version = '2') "
    "FROM vector_embeddings",
}
"""What is true of the rows when a recipe is done."""

SIMILAR_ROWS = """
DO $$
DECLARE
    copied text := (
        SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name = 'structures'
        AND is_generated = 'NEVER' AND column_name NOT IN ('id', 'fingerprint'));
BEGIN
    EXECUTE format(
        'INSERT INTO structures (%1$s, fingerprint)
         SELECT %1$s, encode(sha256((fingerprint || n)::bytea), ''hex'')
         FROM structures, generate_series(1, 30) n', copied);
END $$
"""
"""Thirty more rows for each, so that batches are several."""


class Reader:
    """Who stands in a copy of the project, in whose database crystals are."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        programs = [Path(sys.executable).parent, bundled().root / "bin", "/usr/bin", "/bin"]
        self.environment = {
            "PATH": ":".join(map(str, programs)),
            "HOME": os.environ["HOME"],
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(folder / "src"),
            "NANO_OS_HOME": str(folder / "home"),
            "DATABASE_URL": url,
        }
        copy_project(folder)

    def type(self, *lines: str, exits: int = 0) -> str:
        """Type lines into a shell and return what it printed, errors too."""
        done = subprocess.run(
            ["/bin/bash", "-ec", "\n".join(lines)],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == exits, done.stdout[-4000:]
        assert "Traceback" not in done.stdout
        return done.stdout

    def follow(self, text: str) -> str:
        """Do what a part of the page says."""
        return self.type(*steps(blocks_of(text), NOT_TYPED))

    def revisions(self) -> list[str]:
        """Return the ids of the revisions, in the order of their names."""
        return sorted(file.stem for file in (self.folder / "alembic/versions").glob("*.py"))

    def sql(self, statement: str) -> list[tuple[object, ...]]:
        with closing(psycopg2.connect(self.url)) as connection, connection:
            cursor = connection.cursor()
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def catalog(self) -> set[str]:
        """Return what the schema is, without the indexes that come and go with a model."""
        with closing(psycopg2.connect(self.url)) as connection, connection.cursor() as cursor:
            return {line for line in snapshot(cursor) if "_hnsw__" not in line}

    def rows(self) -> list[object]:
        """Return a digest of each table's rows, whatever the order of columns."""
        digest = "md5(string_agg(to_jsonb(t)::text, '' ORDER BY to_jsonb(t)::text))"
        return [
            (table, self.sql(f"SELECT count(*), {digest} FROM {table} t"))
            for (table,) in self.sql("SELECT relname FROM pg_stat_user_tables ORDER BY 1")
            if table not in {"alembic_version", "audit"}
        ]


@pytest.fixture(scope="session")
def filled(external_server: Callable[[int], ExternalServer]) -> Callable[[int], str]:
    """Return a function that gives the name of a template at head, filled with crystals."""
    made: dict[int, str] = {}

    def template(major: int) -> str:
        if major not in made:
            server = external_server(major)
            made[major] = server.create("crystals")
            programs = Path(sys.executable).parent
            for command in (
                [programs / "alembic", "upgrade", "head"],
                [programs / "nano-os", "structures", "import", "examples/crystals"],
            ):
                subprocess.run(
                    command,
                    cwd=PAGE.parents[1],
                    env=os.environ | {"DATABASE_URL": server.url(made[major])},
                    check=True,
                    capture_output=True,
                )
        return made[major]

    return template


NUMBERS = count()


@pytest.fixture
def reader(
    request: pytest.FixtureRequest,
    filled: Callable[[int], str],
    external_server: Callable[[int], ExternalServer],
    tmp_path: Path,
) -> Iterator[Reader]:
    from servers import NEWEST, ROLE  # a plug-in, which pytest imports itself

    major = getattr(request, "param", NEWEST)
    server, name = external_server(major), f"reader_{next(NUMBERS)}"
    template = filled(major)
    with server.cluster.session() as cursor:
        cursor.execute(f'CREATE DATABASE "{name}" OWNER {ROLE} TEMPLATE "{template}"')
    yield Reader(tmp_path, server.url(name))
    server.drop(name)


@pytest.mark.parametrize("reader", SERVERS, indirect=True)
@pytest.mark.parametrize(
    "recipe",
    [pytest.param(r, marks=pytest.mark.slow) if r in TAKE_LONG else r for r in RECIPES],
)
def test_recipe(recipe: str, reader: Reader) -> None:
    """Up, down and up on filled tables; lint and check find nothing."""
    reader.type(BEFORE.get(recipe, ""))
    if recipe not in BEFORE:
        reader.sql(SIMILAR_ROWS)
    landed = reader.revisions()
    at_first, rows = reader.catalog(), reader.rows()
    reader.follow(RECIPES[recipe])
    new = [revision for revision in reader.revisions() if revision not in landed]
    reader.type("alembic upgrade head", "nano-os db check")
    found = reader.type(f"nano-os db lint {' '.join(new)}")
    assert "ignore" not in found
    at_head = reader.catalog()
    reader.type(f"alembic downgrade {landed[-1]}")
    assert reader.catalog() == at_first
    assert recipe in LOSES or reader.rows() == rows
    reader.type("alembic upgrade head")
    assert reader.catalog() == at_head
    if recipe in HOLDS:
        assert reader.sql(HOLDS[recipe]) == [(True,)]


def test_recipes_stand_in_the_tables_above() -> None:
    assert set(BEFORE) | LOSES | set(HOLDS) <= set(RECIPES)


def test_set_up_by_an_administrator(
    external_server: Callable[[int], ExternalServer], tmp_path: Path
) -> None:
    from servers import NEWEST

    server = external_server(NEWEST)
    by_administrator, by_reader = blocks_of(sections(PAGE, 3)["A server of your own"])
    here = {"orion": "reader", "localhost:5432": f"127.0.0.1:{server.port}"}
    sql, typed = (replace_all(block.text, here) for block in (by_administrator, by_reader))
    in_postgres, in_database = sql.split("\\connect reader_db\n")
    for database, statements in (("postgres", in_postgres), ("reader_db", in_database)):
        with server.cluster.session(database) as cursor:
            for statement in statements.strip().splitlines():
                cursor.execute(statement)
    reader = Reader(tmp_path, "")
    del reader.environment["DATABASE_URL"]
    try:
        said = reader.type(typed)
    finally:
        server.drop("reader_db")
        with server.cluster.session() as cursor:
            cursor.execute("DROP ROLE reader")
    assert f"From {tmp_path / '.env'}" in said
    assert "Nothing found wrong." in said


def test_set_up_of_the_embedded_database(server_folder: Path, tmp_path: Path) -> None:
    reader = Reader(tmp_path, "")
    del reader.environment["DATABASE_URL"]
    reader.environment["NANO_OS_HOME"] = str(server_folder)
    reader.follow(sections(PAGE, 3)["The embedded database"])
    reader.type("nano-os db stop")


def test_daily(reader: Reader) -> None:
    reader.follow(PARTS["Daily"])
    assert (reader.folder / "before.dump").stat().st_size > 0


def replace_all(text: str, words: dict[str, str]) -> str:
    for word, other in words.items():
        text = text.replace(word, other)
    return text


# Troubleshooting


def server_down(reader: Reader) -> Iterator[str]:
    from servers import free_port

    url = reader.environment["DATABASE_URL"]
    reader.environment["DATABASE_URL"] = re.sub(r":\d+/", f":{free_port()}/", url)
    yield "alembic current"
    reader.environment["DATABASE_URL"] = url


def wrong_password(reader: Reader) -> Iterator[str]:
    url = reader.environment["DATABASE_URL"]
    reader.environment["DATABASE_URL"] = re.sub(r"orion:[^@]+@", "orion:wrong@", url)
    yield "alembic current"
    reader.environment["DATABASE_URL"] = url


def new_revision(reader: Reader) -> Path:
    reader.type('alembic revision -m "note where measured"')
    (file,) = (reader.folder / "alembic/versions").glob("*_note_where_measured.py")
    return file


def behind(reader: Reader) -> Iterator[str]:
    new_revision(reader)
    yield 'alembic revision --autogenerate -m "more"'


def ahead(reader: Reader) -> Iterator[str]:
    file = new_revision(reader)
    reader.type("alembic upgrade head")
    moved = file.rename(reader.folder / file.name)
    yield "alembic upgrade head"
    moved.rename(file)


def version_lost(reader: Reader) -> Iterator[str]:
    reader.sql("DELETE FROM alembic_version")
    yield "alembic upgrade head"


def two_heads(reader: Reader) -> Iterator[str]:
    reader.type(
        'alembic revision -m "note who measured"',
        'alembic revision -m "note when measured" --head 001_initial_schema --splice'
        " --rev-id 002_note_when_measured",
    )
    yield "alembic upgrade head"


def locked(reader: Reader) -> Iterator[str]:
    file = new_revision(reader)
    text = file.read_text().replace("    pass\n", "    op.execute('LOCK TABLE structures')\n")
    file.write_text(text)
    with closing(psycopg2.connect(reader.url, application_name="notebook")) as connection:
        connection.cursor().execute("SELECT FROM structures LIMIT 1")
        yield "alembic upgrade head"


def no_extension(reader: Reader) -> Iterator[str]:
    url = reader.environment["DATABASE_URL"]
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        connection.cursor().execute("DROP DATABASE IF EXISTS bare")
        connection.cursor().execute("CREATE DATABASE bare")
    reader.environment["DATABASE_URL"] = f"{url.rpartition('/')[0]}/bare"
    yield "alembic upgrade head"
    reader.environment["DATABASE_URL"] = url


def elsewhere(reader: Reader) -> Iterator[str]:
    yield "cd / && alembic current"


FAULTS = {
    "Connection refused": server_down,
    "Password authentication failed": wrong_password,
    "Extension vector": no_extension,
    "No such file: alembic.ini": elsewhere,
    "Target database is not up to date": behind,
    "Can't locate revision identified by": ahead,
    "Relation already exists": version_lost,
    "Multiple head revisions are present": two_heads,
    "Lock timeout": locked,
}

VARYING = {
    r"127\.0\.0\.1:\d+": "ADDRESS",
    r"(pid |backend\()\d+": r"\1PID",
    r"\d{4}-\d\d-\d\d": "DATE",
    r"\d+ s\b": "N s",
    r"\S+ applied it": "SOMEBODY applied it",
    r"nano-os [\d.]+": "VERSION",
    r"(?<![\w<])/[\w./-]*/": "FOLDER/",
    r"line\s+\d+": "line N",
    r"\s+": " ",
}
"""What is not the same in every run, and what stands for it."""


def lasting(text: str) -> str:
    for pattern, stands in VARYING.items():
        text = re.sub(pattern, stands, text)
    return text.strip()


def test_every_symptom_is_produced() -> None:
    assert list(FAULTS) == re.findall(r"^### (.+)$", PARTS["Troubleshooting"], re.MULTILINE)


@pytest.mark.parametrize("symptom", FAULTS)
def test_symptom_finding_and_cure(symptom: str, reader: Reader) -> None:
    """The page shows what Alembic and doctor really say, and its cure makes all well."""
    section = sections(PAGE, 3)[symptom]
    shown = [lasting(block.text) for block in blocks_of(section) if block.language == "text"]
    fault = FAULTS[symptom](reader)
    said = [reader.type(f"{next(fault)} || true"), reader.type("nano-os db doctor || true")]
    assert shown
    for block, output in zip(shown, said, strict=False):
        assert block in lasting(output), output
    assert next(fault, None) is None  # whoever did it has mended it
    reader.follow(section)
    assert "Nothing found wrong" in reader.type("nano-os db doctor")


def test_the_database_in_force_is_reached(reader: Reader) -> None:
    said = reader.follow(PARTS["Where the original guide has aged"])
    assert said.count("PostgreSQL 18") == 3
