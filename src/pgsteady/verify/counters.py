"""Do sequences stand at or past the numbers that were given out?"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from pgsteady.finding import Finding, Severity
from pgsteady.verify.digest import literal, name, query
from pgsteady.verify.relations import OURS_OR_THE_SYSTEMS, position
from pgsteady.verify.rows import unreadable

_FED = f"""
WITH feeds AS (
  SELECT d.objid AS sequence, d.refobjid AS relation, d.refobjsubid::int AS place FROM pg_depend d
  WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
    AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
  UNION
  SELECT d.refobjid, a.adrelid, a.adnum::int FROM pg_depend d
  JOIN pg_attrdef a ON a.oid = d.objid
  WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass
)
SELECT sn.nspname::text, s.relname::text, n.nspname::text, c.relname::text, c.relkind = 'p',
  a.attname::text, q.seqincrement,
  EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique
    AND i.indkey::text = a.attnum::text)
FROM feeds f JOIN pg_class s ON s.oid = f.sequence AND s.relkind = 'S'
JOIN pg_namespace sn ON sn.oid = s.relnamespace
JOIN pg_sequence q ON q.seqrelid = s.oid
JOIN pg_class c ON c.oid = f.relation AND c.relkind IN ('r', 'p') AND NOT c.relispartition
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = f.place AND NOT a.attisdropped
WHERE a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) AND NOT q.seqcycle
  AND NOT ({OURS_OR_THE_SYSTEMS}) ORDER BY 1, 2, 3, 4
"""  # noqa: S608 - constants only


def counters(connection: Connection) -> Iterator[Finding]:
    """Find sequences that will give out a number that is in use."""
    for row in query(connection, _FED):
        schema, sequence, table_schema, table, partitioned, column, by, unique = row
        furthest = "max" if by > 0 else "min"
        source = f"{'' if partitioned else 'ONLY '}{name(table_schema, table)}"
        sql = f"SELECT {furthest}({name(column)}) FROM {source}"  # noqa: S608 - quoted
        try:
            stands = position(connection, schema, sequence, by)
            with connection.begin_nested():
                [(reached,)] = query(connection, sql)
        except DBAPIError as error:
            yield unreadable(f"sequence {schema}.{sequence}", error)
            continue
        if reached is not None and (stands - reached) * (1 if by > 0 else -1) < 0:
            yield Finding(
                severity=Severity.ERROR if unique else Severity.WARNING,
                code="sequence-behind",
                object=f"sequence {schema}.{sequence}",
                message=f"it goes on from {stands}, and {table_schema}.{table}.{column} holds "
                f"{reached}: numbers that are in use will be given out",
                sql=f"SELECT setval({literal(name(schema, sequence))}, {reached});",
            )
