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

HOLDS = {
    "Add a column with a default": "SELECT bool_and(NOT email_verified) FROM users",
    "Add a NOT NULL column to a filled table": "SELECT bool_and(number_of_elements = "
    "cardinality(elements)) FROM structures JOIN materials m ON m.id = material_id",
    "Rename a column": "SELECT count(source_file) > 1000 FROM structures",
    "Change a type": "SELECT count(source_bytes) > 1000 FROM structures",
    "Add or remove an allowed value": "WITH new AS (INSERT INTO users (email, username, role) "
    "VALUES ('r@example.org', 'r', 'reviewer') RETURNING role) SELECT count(*) = 1 FROM new",
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

DIGEST = "SELECT count(*), md5(string_agg(row::text, '' ORDER BY id)) FROM (TABLE {}) row"


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
        """Type lines into a shell and return what it printed."""
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
        """Return a digest of the rows that recipes change, columns in the order of 001."""
        return []


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
@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe(recipe: str, reader: Reader) -> None:
    """Up, down and up on filled tables; lint and check find nothing."""
    reader.type(BEFORE.get(recipe, ""))
    if recipe not in BEFORE:
        reader.sql(SIMILAR_ROWS)
    landed = reader.revisions()
    at_first = reader.catalog()
    reader.follow(RECIPES[recipe])
    new = [revision for revision in reader.revisions() if revision not in landed]
    reader.type("alembic upgrade head", "nano-os db check")
    found = reader.type(f"nano-os db lint {' '.join(new)}")
    assert "ignore" not in found
    at_head = reader.catalog()
    print(found)
    reader.type(f"alembic downgrade {landed[-1]}")
    assert reader.catalog() == at_first
    reader.type("alembic upgrade head")
    assert reader.catalog() == at_head
    if recipe in HOLDS:
        assert reader.sql(HOLDS[recipe]) == [(True,)]
