"""Is what must be unique unique? The rows are grouped anew, without asking the index."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from pgsteady.finding import Finding, Severity
from pgsteady.progress import Progress
from pgsteady.verify.digest import name, query
from pgsteady.verify.relations import OURS_OR_THE_SYSTEMS
from pgsteady.verify.rows import unreadable

_UNIQUE = f"""
SELECT n.nspname::text, c.relname::text, c.relkind = 'p', x.relname::text,
  to_jsonb(i) ->> 'indnullsnotdistinct' = 'true',
  ARRAY(SELECT pg_get_indexdef(i.indexrelid, k, false) || coalesce((
      SELECT format(' COLLATE %I.%I', s.nspname, o.collname) FROM pg_collation o
      JOIN pg_namespace s ON s.oid = o.collnamespace WHERE o.oid = i.indcollation[k - 1]), '')
    FROM generate_series(1, i.indnkeyatts) k ORDER BY k),
  coalesce(pg_get_expr(i.indpred, i.indrelid), 'true')
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE i.indisunique AND m.amname = 'btree' AND NOT x.relispartition
  AND c.relkind IN ('r', 'p', 'm') AND NOT ({OURS_OR_THE_SYSTEMS}) ORDER BY 1, 2, 4
"""  # noqa: S608 - constants only

_EXCLUSIONS = f"""
SELECT n.nspname::text, c.relname::text, k.conname::text,
  coalesce((SELECT format('(%s)', pg_get_expr(i.indpred, i.indrelid))
    WHERE i.indpred IS NOT NULL), 'true'),
  ARRAY(SELECT ARRAY[pg_get_indexdef(k.conindid, u.place::int, false), o.nspname::text,
      p.oprname::text]
    FROM unnest(k.conexclop) WITH ORDINALITY AS u (operator, place)
    JOIN pg_operator p ON p.oid = u.operator JOIN pg_namespace o ON o.oid = p.oprnamespace
    ORDER BY u.place)
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid AND c.relkind = 'r'
JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_index i ON i.indexrelid = k.conindid
WHERE k.contype = 'x' AND NOT ({OURS_OR_THE_SYSTEMS}) ORDER BY 1, 2, 3
"""  # noqa: S608 - constants only


def duplicates(connection: Connection, progress: Progress) -> Iterator[Finding]:
    """Find values that are there twice although a unique index or constraint forbids it.

    It is meant to run where no index is used.
    """
    unique = query(connection, _UNIQUE)
    with progress.step("Looking for what is there twice", len(unique) or 1) as advance:
        for number, index in enumerate(unique, 1):
            yield from _twice(connection, *index)
            advance(number)


def overlaps(connection: Connection) -> Iterator[Finding]:
    """Find rows that an exclusion constraint keeps apart, and that are there together."""
    for constraint in query(connection, _EXCLUSIONS):
        yield from _overlapping(connection, *constraint)


def _twice(
    connection: Connection,
    schema: str,
    table: str,
    partitioned: bool,
    index: str,
    nulls_equal: bool,
    keys: list[str],
    predicate: str,
) -> Iterator[Finding]:
    listed = ", ".join(keys)
    condition = f"({predicate})" + ("" if nulls_equal else f" AND num_nulls({listed}) = 0")
    groups = (
        f"SELECT {listed}, count(*) FROM {'' if partitioned else 'ONLY '}"  # noqa: S608
        f"{name(schema, table)} WHERE {condition} GROUP BY {listed} HAVING count(*) > 1"
    )
    yield from _counted(
        connection,
        f"SELECT count(*) FROM ({groups}) AS twice",  # noqa: S608 - from the catalog
        Finding(
            severity=Severity.ERROR,
            code="not-unique",
            object=f"index {schema}.{table}.{index}",
            message="{} there more than once",
            cure=f"See them: {groups};",
        ),
        ("value is", "values are"),
    )


def _overlapping(
    connection: Connection,
    schema: str,
    table: str,
    constraint: str,
    predicate: str,
    elements: list[list[str]],
) -> Iterator[Finding]:
    """Join the table with itself; here the index may help, or it would take for ever."""
    values = ", ".join(f"{element} AS e{n}" for n, (element, *_) in enumerate(elements))
    rows = (
        f"(SELECT ctid AS place, {values} FROM ONLY {name(schema, table)} "  # noqa: S608
        f"WHERE {predicate})"
    )
    conflict = " AND ".join(
        f"a.e{n} OPERATOR({name(operator_schema)}.{operator}) b.e{n}"
        for n, (_, operator_schema, operator) in enumerate(elements)
    )
    broken = (
        f"FROM {rows} AS a WHERE EXISTS "
        f"(SELECT FROM {rows} AS b WHERE b.place <> a.place AND {conflict})"
    )
    yield from _counted(
        connection,
        f"SELECT count(*) {broken}",
        Finding(
            severity=Severity.ERROR,
            code="not-exclusive",
            object=f"constraint {schema}.{table}.{constraint}",
            message="{} another one",
            cure=f"See them: SELECT a.* {broken};",
        ),
        ("row excludes", "rows exclude"),
    )


def _counted(
    connection: Connection, sql: str, finding: Finding, words: tuple[str, str]
) -> Iterator[Finding]:
    try:
        with connection.begin_nested():
            [(number,)] = query(connection, sql)
    except DBAPIError as error:
        yield unreadable(finding.object, error)
        return
    if number:
        said = finding.message.format(f"{number} {words[number != 1]}")
        yield replace(finding, message=said)
