"""What guards the data and is switched off: triggers and constraints."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection

from pgsteady.finding import Finding, Severity
from pgsteady.verify.digest import name, query
from pgsteady.verify.relations import OURS_OR_THE_SYSTEMS

_OFF = f"""
SELECT n.nspname::text, c.relname::text, coalesce(k.conname, t.tgname)::text,
  bool_or(t.tgisinternal), min(t.tgenabled::text)
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_constraint k ON k.oid = t.tgconstraint AND t.tgisinternal
WHERE t.tgenabled IN ('D', 'R') AND NOT ({OURS_OR_THE_SYSTEMS}) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""  # noqa: S608 - constants only

_NOT_VALID = f"""
SELECT n.nspname::text, c.relname::text, k.conname::text
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT k.convalidated AND to_jsonb(k) ->> 'conenforced' IS DISTINCT FROM 'false'
  AND NOT ({OURS_OR_THE_SYSTEMS}) ORDER BY 1, 2, 3
"""  # noqa: S608 - constants only


def switches(connection: Connection) -> Iterator[Finding]:
    """Find triggers that do not fire and constraints that were never checked."""
    for schema, table, what, internal, enabled in query(connection, _OFF):
        how = "is disabled" if enabled == "D" else "fires for replication only"
        if internal:
            yield Finding(
                severity=Severity.ERROR,
                code="disabled-constraint",
                object=f"constraint {schema}.{table}.{what}",
                message=f"its trigger {how}: nothing keeps the two tables together",
                sql=f"ALTER TABLE {name(schema, table)} ENABLE TRIGGER ALL;",
            )
        else:
            yield Finding(
                severity=Severity.WARNING,
                code="disabled-trigger",
                object=f"trigger {schema}.{table}.{what}",
                message=f"it {how}",
                sql=f"ALTER TABLE {name(schema, table)} ENABLE TRIGGER {name(what)};",
            )
    for schema, table, constraint in query(connection, _NOT_VALID):
        yield Finding(
            severity=Severity.WARNING,
            code="not-valid",
            object=f"constraint {schema}.{table}.{constraint}",
            message="it is NOT VALID: older rows were never checked",
            sql=f"ALTER TABLE {name(schema, table)} VALIDATE CONSTRAINT {name(constraint)};",
        )
