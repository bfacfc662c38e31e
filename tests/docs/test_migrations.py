"""``docs/migrations.md`` as its reader follows it, on filled tables and as no superuser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pages import blocks_of
from reader import CHAPTERS, SECTIONS, Reader

if TYPE_CHECKING:
    from servers import ExternalServer

RECIPES = {
    title: text for title, text in SECTIONS.items() if f"### {title}\n" in CHAPTERS["Recipes"]
}
SERVERS = [16, 18]

BEFORE = {"A new embedding model": "nano-os embed run"}
"""What the reader of a recipe has done before."""

LOSES = {"Drop a column", "Drop a table", "A new embedding model"}
"""Recipes that lose rows or values, as they say."""

HOLDS = {
    "Add a column with a default": "SELECT bool_and(NOT email_verified) FROM users",
    "Add a NOT NULL column to a filled table": "SELECT bool_and(number_of_species = "
    "jsonb_array_length(species)) FROM structures",
    "Rename a column": "SELECT count(file_format) > 1000 FROM structures",
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


@pytest.mark.slow
@pytest.mark.parametrize("reader", SERVERS, indirect=True)
@pytest.mark.parametrize("recipe", RECIPES)
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


@pytest.mark.slow
def test_renamed_column_is_equal_under_both_names(reader: Reader) -> None:
    """While old and new code run at the same time, whichever of them writes."""
    reader.follow(RECIPES["Rename a column"].partition("**Release**")[0])
    reader.type("alembic upgrade head")
    reader.sql("UPDATE structures SET source_format = 'by old code' WHERE name = 'Halite'")
    reader.sql("UPDATE structures SET file_format = 'by new code' WHERE name = 'Gold'")
    reader.sql("UPDATE structures SET file_format = NULL WHERE name = 'Silver'")
    written = (
        "SELECT DISTINCT source_format, file_format FROM structures WHERE name IN {} ORDER BY 1"
    )
    assert reader.sql(written.format("('Halite', 'Gold', 'Silver')")) == [
        ("by new code", "by new code"),
        ("by old code", "by old code"),
        (None, None),
    ]


def test_recipes_stand_in_the_tables_above() -> None:
    assert set(BEFORE) | LOSES | set(HOLDS) <= set(RECIPES)


@pytest.mark.slow
def test_set_up_by_an_administrator(
    external_server: Callable[[int], ExternalServer], tmp_path: Path
) -> None:
    from servers import NEWEST

    server = external_server(NEWEST)
    by_administrator, by_reader = blocks_of(SECTIONS["A server of your own"])
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


@pytest.mark.slow
def test_set_up_of_the_embedded_database(server_folder: Path, tmp_path: Path) -> None:
    reader = Reader(tmp_path, "")
    del reader.environment["DATABASE_URL"]
    reader.environment["NANO_OS_HOME"] = str(server_folder)
    reader.follow(SECTIONS["The embedded database"])
    reader.type("nano-os db stop")


@pytest.mark.slow
def test_daily(reader: Reader) -> None:
    reader.follow(CHAPTERS["Daily"])
    assert "Nothing to do" in reader.type("nano-os db upgrade")


def replace_all(text: str, words: dict[str, str]) -> str:
    for word, other in words.items():
        text = text.replace(word, other)
    return text


@pytest.mark.slow
def test_the_database_in_force_is_reached(reader: Reader) -> None:
    said = reader.follow(CHAPTERS["Where the original guide has aged"])
    assert said.count("PostgreSQL 18") == 3
