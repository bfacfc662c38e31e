"""What a schema really is, in PostgreSQL's own words, so that two can be compared."""

from __future__ import annotations

from typing import Any

OURS = "NOT EXISTS (SELECT FROM pg_depend x WHERE x.objid = c.oid AND x.deptype = 'e')"
"""Of no extension; ``c`` is the catalog that the query is about."""

QUERIES = {
    "relation": """
        SELECT c.relname, c.relkind::text, c.relpersistence::text, c.reloptions,
               c.relrowsecurity, pg_get_viewdef(CASE c.relkind WHEN 'v' THEN c.oid END),
               obj_description(c.oid, 'pg_class')
        FROM pg_class c WHERE c.relnamespace = %(schema)s::regnamespace
        AND c.relkind IN ('r', 'p', 'v', 'm', 'S') AND {ours}""",
    "column": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
               a.attgenerated::text, a.attidentity::text, pg_get_expr(d.adbin, d.adrelid),
               a.attcollation::regcollation::text, a.attstorage::text,
               col_description(c.oid, a.attnum)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind IN ('r', 'p')
        AND a.attnum > 0 AND NOT a.attisdropped AND {ours}""",
    "constraint": """
        SELECT t.relname, c.conname, pg_get_constraintdef(c.oid), c.convalidated,
               obj_description(c.oid, 'pg_constraint')
        FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
        WHERE c.connamespace = %(schema)s::regnamespace AND c.contype <> 'n' AND {ours}""",
    "index": """
        SELECT t.relname, c.relname, pg_get_indexdef(c.oid), i.indisvalid
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        JOIN pg_class t ON t.oid = i.indrelid
        WHERE c.relnamespace = %(schema)s::regnamespace AND {ours}""",
    "enum": """
        SELECT c.typname, array(SELECT enumlabel::text FROM pg_enum
                                WHERE enumtypid = c.oid ORDER BY enumsortorder)
        FROM pg_type c WHERE c.typnamespace = %(schema)s::regnamespace
        AND c.typtype = 'e' AND {ours}""",
    "function": """
        SELECT c.proname, pg_get_functiondef(c.oid) FROM pg_proc c
        WHERE c.pronamespace = %(schema)s::regnamespace AND c.prokind IN ('f', 'p') AND {ours}""",
    "trigger": """
        SELECT t.relname, pg_get_triggerdef(c.oid) FROM pg_trigger c
        JOIN pg_class t ON t.oid = c.tgrelid
        WHERE t.relnamespace = %(schema)s::regnamespace AND NOT c.tgisinternal AND {ours}""",
}


def snapshot(cursor: Any, schema: str = "public") -> set[str]:
    """Return one line for each object of ``schema``, without Alembic's own table.

    Neither the order of columns nor the schema's name is part of it, nor what an
    extension brought.
    """
    lines: set[str] = set()
    for kind, query in QUERIES.items():
        cursor.execute(query.format(ours=OURS), {"schema": schema})
        lines |= {f"{kind} {row}".replace(f"{schema}.", "") for row in cursor.fetchall()}
    return {line for line in lines if "'alembic_version" not in line}
