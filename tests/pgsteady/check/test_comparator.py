"""``alembic check`` and ``--autogenerate`` see what Alembic alone does not compare."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from alembic.util import CommandError

from toy import Project

MODELS = """
things = Table("things", metadata,
    Column("id", sa.Integer, primary_key=True),
    Column("name", sa.Text, nullable=False, server_default=text("'a :b'")),
    Column("tag", sa.Text(collation="C")),
    Column("extra", JSONB, server_default=text("'{}'::jsonb")),
    Column("embedding", Vector(3)),
    Column("width", sa.Integer), Column("height", sa.Integer),
    Column("area", sa.Integer, Computed("width * height", persisted=True)),
    Column("mood", ENUM("calm", "wild", name="mood")),
    sa.CheckConstraint("width > 0", name="width"),
    sa.ForeignKeyConstraint(["height"], ["things.id"], name="fk_height"),
    postgresql_with={"fillfactor": 70},
)
Index("ix_extra", things.c.extra, postgresql_using="gin",
      postgresql_ops={"extra": "jsonb_path_ops"})
Index("ix_wide", things.c.width, postgresql_where=things.c.width > 10,
      postgresql_include=["height"])
Index("ix_near", things.c.embedding, postgresql_using="hnsw",
      postgresql_ops={"embedding": "vector_l2_ops"},
      postgresql_with={"m": 8, "ef_construction": 32})
"""

HNSW = "DROP INDEX ix_near; CREATE INDEX ix_near ON things USING "

DRIFTS = {
    "HNSW parameters": (HNSW + "hnsw (embedding vector_l2_ops) WITH (m=16)", "ix_near"),
    "HNSW operator class": (HNSW + "hnsw (embedding vector_cosine_ops)", "ix_near"),
    "HNSW to IVFFlat": (HNSW + "ivfflat (embedding vector_l2_ops)", "ix_near"),
    "GIN operator class": (
        "DROP INDEX ix_extra; CREATE INDEX ix_extra ON things USING gin (extra)", "ix_extra"),
    "predicate": (
        "DROP INDEX ix_wide; CREATE INDEX ix_wide ON things (width) INCLUDE (height) "
        "WHERE width > 99", "ix_wide"),
    "included column": (
        "DROP INDEX ix_wide; CREATE INDEX ix_wide ON things (width) WHERE width > 10", "ix_wide"),
    "computed expression": (
        "ALTER TABLE things DROP COLUMN area, "
        "ADD COLUMN area int GENERATED ALWAYS AS (width + height) STORED", "things.area"),
    "check text": (
        "ALTER TABLE things DROP CONSTRAINT ck_things_width, "
        "ADD CONSTRAINT ck_things_width CHECK (width > -1)", "ck_things_width"),
    "not valid": (
        "ALTER TABLE things DROP CONSTRAINT fk_height, ADD CONSTRAINT fk_height "
        "FOREIGN KEY (height) REFERENCES things (id) NOT VALID", "fk_height"),
    "primary key": (
        "ALTER TABLE things DROP CONSTRAINT pk_things CASCADE; "
        "ALTER TABLE things ALTER id SET NOT NULL", "pk_things"),
    "collation": ("ALTER TABLE things ALTER tag TYPE text", "things.tag"),
    "vector without dimension": (
        "DROP INDEX ix_near; ALTER TABLE things ALTER embedding TYPE vector", "things.embedding"),
    "default": ("ALTER TABLE things ALTER name SET DEFAULT 'b'", "things.name"),
    "jsonb to json": (
        "DROP INDEX ix_extra; ALTER TABLE things ALTER extra DROP DEFAULT, "
        "ALTER extra TYPE json, ALTER extra SET DEFAULT '{}'", "things.extra"),
    "enum labels": ("ALTER TYPE mood ADD VALUE 'sad'", "mood"),
    "unlogged": ("ALTER TABLE things SET UNLOGGED", "things"),
    "fillfactor": ("ALTER TABLE things RESET (fillfactor)", "things"),
    "exclusion": (
        "ALTER TABLE things ADD CONSTRAINT ex EXCLUDE USING btree (name WITH =)", "things.ex"),
}  # fmt: skip


QUICK = {"HNSW parameters", "predicate", "computed expression", "primary key", "enum labels"}
"""Those that run with the fast tests."""


@pytest.fixture
def in_step(project: Project, database: str) -> Project:
    """A project whose database is as its models say."""
    project.models(MODELS)
    project.generate("first")
    project.run("upgrade", "head")
    assert "No new upgrade operations" in project.run("check")
    return project


@pytest.mark.parametrize(
    "drift", [pytest.param(d, marks=[] if d in QUICK else pytest.mark.slow) for d in DRIFTS]
)
def test_a_difference_is_named_and_the_revision_for_it_runs(
    in_step: Project,
    sql: Callable[..., object],
    catalog: Callable[[], set[str]],
    drift: str,
) -> None:
    right = catalog()
    statement, named = DRIFTS[drift]
    sql(statement)
    wrong = catalog()
    with pytest.raises(CommandError, match=named):
        in_step.run("check")
    in_step.generate("mend it")
    in_step.run("upgrade", "head")
    assert "No new upgrade operations" in in_step.run("check")
    assert catalog() == right
    in_step.run("downgrade", "-1")
    assert catalog() == wrong
    in_step.run("upgrade", "head")
    assert catalog() == right


def test_what_is_allowed_is_no_operation(in_step: Project, sql: Callable[..., object]) -> None:
    sql("ALTER TABLE things SET (fillfactor = 50)")
    (in_step.folder / "pyproject.toml").write_text(
        '[[tool.pgsteady.check.allow]]\nobject = "table things"\nreason = "Being measured"\n'
    )
    assert "No new upgrade operations" in in_step.run("check")
