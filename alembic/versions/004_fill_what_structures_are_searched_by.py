"""Fill what structures are searched by from what the database holds.

Elements, formulas and chemical system from the material, ratios from the species,
periodic dimensions, collection and licence from what the source said, and the
citations. In batches that are committed one by one: interrupted, it is run again.
Conventional cell and protostructure need the science: `nano-os structures
reanalyse` fills them.

Revision ID: 004_fill_what_structures_are_searched_by
Revises: 003_columns_that_structures_are_searched_by
Create Date: 2026-11-27 22:04:24.385800
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "004_fill_what_structures_are_searched_by"
down_revision: str | Sequence[str] | None = "003_columns_that_structures_are_searched_by"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

DIGEST = "encode(sha256(convert_to((structures.extra -> 'citation')::text, 'UTF8')), 'hex')"
# Made from the digest, so that the same publication gets the same id in every run (RFC 9562,
# version 8).
CITATION_ID = "overlay(overlay(left({digest}, 32) placing '8' from 13) placing '8' from 17)::uuid"
MATERIAL = "(SELECT materials.{} FROM materials WHERE materials.id = material_id)"
# Summed up as numeric, so that the order of the sites makes no difference.
RATIOS = """(
    SELECT array_agg(amount::float8 / total::float8 ORDER BY element COLLATE "C")
    FROM (SELECT element, sum(share) AS amount, sum(sum(share)) OVER () AS total
          FROM unnest(species_at_sites) AS site
          JOIN jsonb_array_elements(species) AS kind ON kind ->> 'name' = site
          CROSS JOIN LATERAL (
              SELECT symbol AS element, concentration::numeric AS share
              FROM ROWS FROM (
                  jsonb_array_elements_text(kind -> 'chemical_symbols'),
                  jsonb_array_elements_text(kind -> 'concentration')
              ) AS occupant (symbol, concentration)) AS occupants
          WHERE element <> 'vacancy' GROUP BY element) AS amounts)"""

changes = {
    "structures.elements": MATERIAL.format("elements"),
    "structures.number_of_elements": f"cardinality({MATERIAL.format('elements')})::smallint",
    "structures.elements_ratios": RATIOS,
    "structures.chemical_system": MATERIAL.format("chemical_system"),
    "structures.reduced_formula": MATERIAL.format("reduced_formula"),
    "structures.anonymous_formula": MATERIAL.format("anonymous_formula"),
    "structures.number_of_periodic_dimensions": (
        "dimension_types[1] + dimension_types[2] + dimension_types[3]"
    ),
    "structures.source": "structures.extra ->> 'database'",
    "structures.external_id": "structures.extra ->> 'database_code'",
    "structures.licence": "structures.extra ->> 'licence'",
    "structures.citation_id": (
        "CASE jsonb_typeof(structures.extra -> 'citation') WHEN 'object' THEN "
        f"{CITATION_ID.format(digest=DIGEST)} END"
    ),
    "citations": None,
}
# Whatever its id is: a publication may be there already.
CITED = f"(SELECT citations.id FROM citations WHERE digest = {DIGEST})"  # noqa: S608
VALUES = ",\n            ".join(
    f"{target.removeprefix('structures.')} = {value}"
    for target, value in (changes | {"structures.citation_id": CITED}).items()
    if value
)
FILL = f"""
DO $$
DECLARE
    first uuid := '00000000-0000-0000-0000-000000000000';
    last uuid;
BEGIN
    LOOP
        SELECT id INTO last
        FROM (SELECT id FROM structures WHERE id > first ORDER BY id LIMIT 1000) batch
        ORDER BY id DESC LIMIT 1;
        EXIT WHEN last IS NULL;

        INSERT INTO citations (id, digest, authors, title, journal, volume, page_first, page_last,
                               year, doi, created_at)
        SELECT DISTINCT ON (digest) {CITATION_ID.format(digest="digest")}, digest,
               ARRAY(SELECT jsonb_array_elements_text(CASE jsonb_typeof(said -> 'authors')
                     WHEN 'array' THEN said -> 'authors' ELSE '[]' END)),
               said ->> 'title', said ->> 'journal', said ->> 'volume', said ->> 'page_first',
               said ->> 'page_last',
               CASE WHEN said ->> 'year' ~ '^[0-9]{{1,4}}$' THEN (said ->> 'year')::int END,
               said ->> 'doi', created_at
        FROM (SELECT id, created_at, extra -> 'citation' AS said, {DIGEST} AS digest
              FROM structures WHERE id > first AND id <= last
              AND jsonb_typeof(extra -> 'citation') = 'object') cited
        ORDER BY digest, id
        ON CONFLICT (digest) DO NOTHING;

        UPDATE structures SET
            {VALUES}
        WHERE structures.elements IS NULL
        AND structures.id > first AND structures.id <= last;

        COMMIT;
        first := last;
    END LOOP;
END $$
"""  # noqa: S608 - put together from what stands above


def upgrade() -> None:
    """Fill the columns, 1,000 rows at a time."""
    with op.get_context().autocommit_block():
        op.execute(sa.text(FILL))


# pgsteady: ignore[missing-downgrade] the values go with the columns
def downgrade() -> None:
    """Leave the values, as the revision before drops the columns."""
