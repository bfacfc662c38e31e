"""Do all rows obey what their table says of them? One sequential pass over each table.

PostgreSQL checks a row when it is written. A row written while triggers were off, before a
constraint was altered in the catalog, or read from a damaged page is never checked again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from pgsteady.finding import Finding, Severity
from pgsteady.progress import Progress
from pgsteady.verify.digest import name, query, said_by
from pgsteady.verify.relations import OURS_OR_THE_SYSTEMS

_TABLES = f"""
SELECT c.oid, n.nspname::text, c.relname::text, pg_table_size(c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND NOT ({OURS_OR_THE_SYSTEMS}) ORDER BY 2, 3
"""  # noqa: S608 - constants only

_COLUMNS = "pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r'"

_RULES = rf"""
SELECT attrelid, 'column', attname::text, 'null-values', format('num_nulls(%I) > 0', attname), true
FROM {_COLUMNS} JOIN pg_type t ON t.oid = a.atttypid
WHERE (a.attnotnull OR t.typnotnull) AND attnum > 0 AND NOT attisdropped
UNION ALL
SELECT conrelid, 'constraint', conname::text, 'broken-check',
  format('(%s) IS FALSE', pg_get_expr(conbin, conrelid)), convalidated
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid AND c.relkind = 'r'
WHERE contype = 'c' AND to_jsonb(k) ->> 'conenforced' IS DISTINCT FROM 'false'
UNION ALL
SELECT attrelid, 'column', attname::text, 'broken-domain',
  format('(SELECT (%s) IS FALSE FROM (SELECT %I AS value) AS v)', pg_get_expr(conbin, 0), attname),
  convalidated
FROM {_COLUMNS} CROSS JOIN LATERAL (
  WITH RECURSIVE domain AS (SELECT a.atttypid AS oid UNION ALL SELECT t.typbasetype
    FROM domain JOIN pg_type t ON t.oid = domain.oid WHERE t.typtype = 'd') TABLE domain) AS domain
JOIN pg_constraint k ON k.contypid = domain.oid AND k.contype = 'c'
WHERE attnum > 0 AND NOT attisdropped
UNION ALL
SELECT attrelid, 'column', attname::text, 'stale-generated',
  format('(CAST(%s AS %s))::text IS DISTINCT FROM %I::text', pg_get_expr(adbin, adrelid),
    format_type(atttypid, atttypmod), attname), true
FROM {_COLUMNS} JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE attgenerated = 's' AND NOT attisdropped
UNION ALL
SELECT c.oid, 'table', '', 'wrong-partition',
  format('(%s) IS FALSE', pg_get_partition_constraintdef(c.oid)), true
FROM pg_class c WHERE c.relkind = 'r' AND c.relispartition
  AND pg_get_partition_constraintdef(c.oid) IS NOT NULL
"""  # noqa: S608 - constants only
"""Of each table: what the rule is about, a name in the table, a code, SQL of what breaks it, and
whether it was ever checked: NOT VALID allows older rows to break it.

``num_nulls`` because the planner knows without looking that nothing in a column declared
NOT NULL is NULL; FILTER because it leaves checks alone that would exclude a whole table.
"""

_BROKEN = {
    "null-values": ("row has", "rows have", "NULL in a column that is NOT NULL"),
    "broken-check": ("row does", "rows do", "not obey it"),
    "broken-domain": ("row does", "rows do", "not obey the checks of the column's domain"),
    "stale-generated": ("row has", "rows have", "another value than its expression gives now"),
    "wrong-partition": ("row does", "rows do", "not belong there: no query by its key finds them"),
}
"""What is said of one row and of several, by code."""
_FILTERS_AT_ONCE = 500


@dataclass(frozen=True)
class _Rule:
    kind: str
    name: str
    code: str
    broken: str
    valid: bool


def rows(connection: Connection, progress: Progress) -> Iterator[Finding]:
    """Find rows that break what their own table demands, and tables that cannot be read."""
    rules: dict[int, list[_Rule]] = defaultdict(list)
    for oid, *rule in query(connection, _RULES):
        rules[oid].append(_Rule(*rule))
    tables = query(connection, _TABLES)
    done = 0
    with progress.step("Reading all rows", sum(size for *_, size in tables) or 1) as advance:
        for oid, schema, table, size in tables:
            yield from _examined(connection, schema, table, rules[oid])
            done += size
            advance(done)


def _examined(
    connection: Connection, schema: str, table: str, rules: list[_Rule]
) -> Iterator[Finding]:
    source = name(schema, table)
    for start in range(0, max(len(rules), 1), _FILTERS_AT_ONCE):
        chunk = rules[start : start + _FILTERS_AT_ONCE]
        counted = ", ".join(["count(*)", *(f"count(*) FILTER (WHERE {r.broken})" for r in chunk)])
        try:
            with connection.begin_nested():
                sql = f"SELECT {counted} FROM ONLY {source}"  # noqa: S608 - from the catalog
                [(_, *numbers)] = query(connection, sql)
        except DBAPIError as error:
            yield unreadable(f"table {schema}.{table}", error)
            return
        for rule, number in zip(chunk, numbers, strict=True):
            if number:
                yield _broken(f"{schema}.{table}", source, rule, number)


def _broken(table: str, source: str, rule: _Rule, number: int) -> Finding:
    one, several, what = _BROKEN[rule.code]
    return Finding(
        severity=Severity.ERROR if rule.valid else Severity.WARNING,
        code=rule.code,
        object=f"{rule.kind} {table}{'.' if rule.name else ''}{rule.name}",
        message=f"{number} {one if number == 1 else several} {what}",
        cure=f"See them: SELECT * FROM ONLY {source} WHERE {rule.broken};",  # noqa: S608
    )


def unreadable(object_: str, error: DBAPIError) -> Finding:
    """Say that something could not be read, and how bad that is."""
    if is_damage(error):
        return Finding(
            severity=Severity.ERROR,
            code="unreadable",
            object=object_,
            message=f"it cannot be read: {said_by(error)}",
            cure="Restore it from a backup.",
        )
    owner = "Run as the role that owns it, or have SELECT granted."
    return Finding(
        severity=Severity.WARNING,
        code="not-read",
        object=object_,
        message=f"it was not examined: {said_by(error)}",
        cure=owner if _code(error) == _INSUFFICIENT_PRIVILEGE else "",
    )


def is_damage(error: DBAPIError) -> bool:
    """Tell a damaged page or a lost file from what merely may not be read."""
    return _code(error).startswith(_DAMAGE)


def _code(error: DBAPIError) -> str:
    return str(getattr(error.orig, "pgcode", None) or "")


_INSUFFICIENT_PRIVILEGE = "42501"
_DAMAGE = ("XX", "58")
"""Classes "internal error" and "system error".

https://www.postgresql.org/docs/current/errcodes-appendix.html
"""
