"""Methods: each is stored once, and results refer to it by its hash.

The document of a method is the canonical one of `nanoos.methods`; method_sha256 of a result
becomes the key of its row. Releases from before write a document of their own into
simulation_results.method, and its hash: for their rows a trigger stores the method, and for rows
of this release it fills in the document that the others read. Column and trigger go when none of
those runs any more. 008 fills the rows from before, 009 makes the key, 010 validates it.

Revision ID: 007_methods
Revises: 006_validate_what_structures_are_searched_by
Create Date: 2026-11-29 21:50:00.000000
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "007_methods"
down_revision: str | Sequence[str] | None = "006_validate_what_structures_are_searched_by"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The canonical document, as text. What the engines of before said beside code, version and
# potential, with its citation behind a colon, was options of their own.
FUNCTION = """
CREATE OR REPLACE FUNCTION canonical_method(said jsonb) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT '{"code":' || coalesce(said -> 'code', '"unknown"')::text
        || coalesce(',"code_version":' || (said -> 'code_version')::text, '')
        || coalesce(',"functional":' || to_json(split_part(said ->> 'potential', ':', 1))::text, '')
        || coalesce(',"further":{' || (
               SELECT string_agg(to_json(key)::text || ':' || value::text, ',' ORDER BY key COLLATE "C")
               FROM jsonb_each(said - ARRAY['code', 'code_version', 'potential'])
               WHERE value <> 'null'
           ) || '}', '')
        || '}'
$$
"""
TRIGGER_FUNCTION = """
CREATE OR REPLACE FUNCTION method_of_result() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    known text;
BEGIN
    IF NEW.method IS NULL THEN
        SELECT document INTO NEW.method FROM methods WHERE sha256 = NEW.method_sha256;
    ELSIF NOT EXISTS (SELECT FROM methods WHERE sha256 = NEW.method_sha256) THEN
        known := canonical_method(NEW.method);
        NEW.method_sha256 := encode(sha256(convert_to(known, 'UTF8')), 'hex');
        INSERT INTO methods (sha256, document) VALUES (NEW.method_sha256, known::jsonb)
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NEW;
END $$
"""
TRIGGER = """
CREATE TRIGGER method_of_result BEFORE INSERT ON simulation_results
FOR EACH ROW EXECUTE FUNCTION method_of_result()
"""


def upgrade() -> None:
    """Create the table, and let new results of every release have a row in it."""
    op.create_table(
        "methods",
        sa.Column("sha256", sa.Text(), nullable=False, comment="Of the document as canonical JSON"),
        sa.Column(
            "document",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="Code, functional, potentials … without what is not stated",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("length(sha256) = 64", name=op.f("ck_methods_sha256")),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_methods")),
        comment="How numbers were calculated; each method once",
    )
    op.execute(sa.text(FUNCTION))
    op.execute(sa.text(TRIGGER_FUNCTION))
    op.execute(sa.text(TRIGGER))


def downgrade() -> None:
    """Drop the table; results keep their documents."""
    op.execute("DROP TRIGGER method_of_result ON simulation_results")
    op.execute("DROP FUNCTION method_of_result()")
    op.execute("DROP FUNCTION canonical_method(jsonb)")
    op.drop_table("methods")
