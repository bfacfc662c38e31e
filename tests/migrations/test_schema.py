"""Every revision goes up, down and up again; the models are what the revisions make."""

from __future__ import annotations

import ast
import io
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import alembic.command
import psycopg2
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from api.models import Base
from catalog import snapshot
from pgsteady.url import parse

CONFIG = Config(Path(__file__).parents[2] / "alembic.ini", stdout=io.StringIO())
SCRIPTS = ScriptDirectory.from_config(CONFIG)
CODE = ("function ", "trigger ")
REVISIONS = [script.revision for script in SCRIPTS.walk_revisions()][::-1]


@pytest.fixture
def empty(fresh_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty database, set as ``DATABASE_URL``."""
    url = fresh_database()
    monkeypatch.setenv("DATABASE_URL", url)
    return url


def catalog(url: str, schema: str = "public") -> set[str]:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(f'SET search_path TO "{schema}", public')
        return snapshot(cursor, schema)


def test_each_revision_goes_up_down_and_up(empty: str) -> None:
    for revision in REVISIONS:
        before = catalog(empty)
        alembic.command.upgrade(CONFIG, revision)
        after = catalog(empty)
        alembic.command.downgrade(CONFIG, "-1")
        assert catalog(empty) == before, revision
        alembic.command.upgrade(CONFIG, revision)
        assert catalog(empty) == after, revision


def test_the_models_are_what_the_revisions_make(empty: str) -> None:
    """Alembic's check finds nothing, nor does a comparison in PostgreSQL's own words."""
    alembic.command.upgrade(CONFIG, "head")
    alembic.command.check(CONFIG)
    with closing(psycopg2.connect(empty)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA models")
    in_schema = parse(f"{empty}?options=-csearch_path%3Dmodels,public", "the test")
    engine = create_engine(in_schema.psycopg2())
    Base.metadata.create_all(engine, checkfirst=False)
    engine.dispose()
    assert catalog(empty, "models") == {
        line
        for line in catalog(empty)
        if not line.startswith(CODE)  # models have none
    }


def test_an_index_that_a_model_in_use_brought_is_no_difference(empty: str) -> None:
    alembic.command.upgrade(CONFIG, "head")
    with closing(psycopg2.connect(empty)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE INDEX ix_vector_embeddings_hnsw__soap__1 ON vector_embeddings "
            "USING hnsw ((embedding::vector(3)) vector_l2_ops) WHERE model = 'soap'"
        )
    alembic.command.check(CONFIG)


def test_the_revisions_are_one_line_and_their_ids_name_their_files() -> None:
    assert len(SCRIPTS.get_heads()) == 1
    assert REVISIONS[0] == "001_initial_schema"
    for script in SCRIPTS.walk_revisions():
        assert Path(script.path).stem == script.revision
        assert ast.get_docstring(ast.parse(Path(script.path).read_text()))
