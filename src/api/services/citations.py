"""Citations: publications that structures come from, each stored once.

Their ids follow from what is said of them, so that a publication has the same id in every database.
"""

from __future__ import annotations

# Both are those of revision 004_fill_what_structures_are_searched_by; the id is a UUID of version 8
# (RFC 9562).
_DIGEST = "encode(sha256(convert_to(({extra} -> 'citation')::text, 'UTF8')), 'hex')"

_ID = "overlay(overlay(left(digest, 32) placing '8' from 13) placing '8' from 17)::uuid"


def digest(extra: str) -> str:
    """Return SQL of the digest of the publication that a column ``extra`` names."""
    return _DIGEST.format(extra=extra)


def there_is_one(extra: str) -> str:
    """Return SQL of whether a column ``extra`` names a publication."""
    return f"jsonb_typeof({extra} -> 'citation') = 'object'"


def is_named(structure: str) -> str:
    """Return SQL of whether a structure names its publication, if it has one, as its citation."""
    return (
        f"({structure}.citation_id IS NOT NULL"
        f" OR ({there_is_one(f'{structure}.extra')}) IS NOT TRUE)"
    )


def insert(rows: str) -> str:
    """Return the statement that stores the publications of ``rows``: SQL with a column extra."""
    return f"""
INSERT INTO citations (id, digest, authors, title, journal, volume, page_first, page_last, year,
                       doi)
SELECT DISTINCT ON (digest) {_ID}, digest,
       ARRAY(SELECT jsonb_array_elements_text(CASE jsonb_typeof(said -> 'authors')
             WHEN 'array' THEN said -> 'authors' ELSE '[]' END)),
       said ->> 'title', said ->> 'journal', said ->> 'volume', said ->> 'page_first',
       said ->> 'page_last',
       CASE WHEN said ->> 'year' ~ '^[0-9]{{1,4}}$' THEN (said ->> 'year')::int END,
       said ->> 'doi'
FROM (SELECT extra -> 'citation' AS said, {digest("extra")} AS digest
      FROM {rows} WHERE {there_is_one("extra")}) cited
ORDER BY digest
ON CONFLICT (digest) DO NOTHING
"""  # noqa: S608 - only our own tables and expressions are put in
