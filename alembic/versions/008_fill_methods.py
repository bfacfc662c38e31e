"""Fill methods from the results that there are, and let these name them by hash.

In batches that are committed one by one: interrupted, it is run again.

Revision ID: 008_fill_methods
Revises: 007_methods
Create Date: 2026-11-29 21:50:00.000000
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "008_fill_methods"
down_revision: str | Sequence[str] | None = "007_methods"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# As canonical_method of 007 has it, for evidence that is taken before there is one. What this
# release wrote meanwhile is canonical.
CANONICAL = """
    '{"code":' || coalesce(method -> 'code', '"unknown"')::text
    || coalesce(',"code_version":' || (method -> 'code_version')::text, '')
    || coalesce(',"functional":' || to_json(split_part(method ->> 'potential', ':', 1))::text, '')
    || coalesce(',"further":{' || (
           SELECT string_agg(to_json(key)::text || ':' || value::text, ',' ORDER BY key COLLATE "C")
           FROM jsonb_each(method - ARRAY['code', 'code_version', 'potential'])
           WHERE value <> 'null'
       ) || '}', '')
    || '}'
"""
changes = {
    "simulation_results.method_sha256": (
        "CASE WHEN method ?| ARRAY['functional', 'further'] THEN method_sha256"
        f" ELSE encode(sha256(convert_to({CANONICAL}, 'UTF8')), 'hex') END"
    ),
    "methods": None,
}
BATCHES = """
DO $$
DECLARE
    first uuid := '00000000-0000-0000-0000-000000000000';
    last uuid;
BEGIN
    LOOP
        SELECT id INTO last
        FROM (SELECT id FROM simulation_results WHERE id > first ORDER BY id LIMIT 1000) batch
        ORDER BY id DESC LIMIT 1;
        EXIT WHEN last IS NULL;
        {statements}
        COMMIT;
        first := last;
    END LOOP;
END $$
"""
FILL = """
        INSERT INTO methods (sha256, document, created_at)
        SELECT encode(sha256(convert_to(known, 'UTF8')), 'hex'), known::jsonb, min(created_at)
        FROM (SELECT canonical_method(method) AS known, created_at
              FROM simulation_results WHERE id > first AND id <= last
              AND NOT EXISTS (SELECT FROM methods WHERE sha256 = method_sha256)) missing
        GROUP BY known
        ORDER BY 1
        ON CONFLICT (sha256) DO NOTHING;

        UPDATE simulation_results
        SET method_sha256 = encode(sha256(convert_to(canonical_method(method), 'UTF8')), 'hex')
        WHERE id > first AND id <= last
        AND NOT EXISTS (SELECT FROM methods WHERE sha256 = method_sha256);
"""
# The hash of the document of a result whose document is not its method's.
RESTORE = """
        UPDATE simulation_results
        SET method_sha256 = encode(sha256(convert_to('{' || coalesce((
                SELECT string_agg(to_json(key)::text || ':' || value::text, ','
                                  ORDER BY key COLLATE "C")
                FROM jsonb_each(method)
            ), '') || '}', 'UTF8')), 'hex')
        WHERE id > first AND id <= last
        AND NOT EXISTS (SELECT FROM methods WHERE sha256 = method_sha256 AND document = method);
"""


def upgrade() -> None:
    """Store the methods and name them, 1,000 results at a time."""
    with op.get_context().autocommit_block():
        op.execute(sa.text(BATCHES.replace("{statements}", FILL.strip())))


def downgrade() -> None:
    """Give results the hashes of their own documents again."""
    with op.get_context().autocommit_block():
        op.execute(sa.text(BATCHES.replace("{statements}", RESTORE.strip())))
