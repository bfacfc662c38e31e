"""What PostgreSQL itself says of each kind of object, one query for each group of kinds.

Each query returns rows of (kind, schema, table, name, facts). ``facts`` is a JSON object
of texts; what is absent is as CREATE leaves it when nothing is said. The queries run with
an empty ``search_path``, so that every name outside of ``pg_catalog`` is qualified.

Parameters: ``schemas``, the schemas to read; ``owner``, the role whose objects these are;
``path``, the schemas in which names are found unqualified.

https://www.postgresql.org/docs/current/catalogs.html
"""

# ruff: noqa: S608 - the queries are put together from fragments of this module alone
from __future__ import annotations


def _grants(acl: str, kind: str, owner: str) -> str:
    """Return SQL for how ``acl`` differs from what an object of ``kind`` is made with."""
    now, made = f"aclexplode({acl})", f"aclexplode(acldefault('{kind}', {owner}))"
    who = (
        f"CASE g.grantee WHEN 0 THEN 'PUBLIC' WHEN {owner} THEN 'OWNER' "
        "ELSE quote_ident(pg_get_userbyid(g.grantee)) END"
    )
    columns = "grantee, privilege_type, is_grantable"
    return f"""(
      SELECT string_agg(line, E'\\n' ORDER BY line) FROM (
        SELECT 'GRANT ' || string_agg(privilege_type, ', ' ORDER BY privilege_type)
          || ' TO ' || {who} || CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END line
        FROM (SELECT {columns} FROM {now} EXCEPT SELECT {columns} FROM {made}) g
        GROUP BY g.grantee, is_grantable
        UNION ALL
        SELECT 'REVOKE ' || string_agg(privilege_type, ', ' ORDER BY privilege_type)
          || ' FROM ' || {who}
        FROM (SELECT {columns} FROM {made} EXCEPT SELECT {columns} FROM {now}) g
        GROUP BY g.grantee
      ) difference WHERE {acl} IS NOT NULL)"""


def _ours(object_: str, catalog: str) -> str:
    """Return SQL that leaves out what an extension brought."""
    return (
        f"NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = '{catalog}'::regclass "
        f"AND e.objid = {object_} AND e.deptype = 'e')"
    )


_SEQUENCE = """
  'AS ' || format_type(s.seqtypid, NULL) || ' START WITH ' || s.seqstart
  || ' INCREMENT BY ' || s.seqincrement || ' MINVALUE ' || s.seqmin || ' MAXVALUE ' || s.seqmax
  || ' CACHE ' || s.seqcache || CASE WHEN s.seqcycle THEN ' CYCLE' ELSE ' NO CYCLE' END"""

_SORTED = "(SELECT string_agg(o, ', ' ORDER BY o) FROM unnest({}) o)"

SCHEMAS = f"""
SELECT 'schema', n.nspname, '', '', jsonb_strip_nulls(jsonb_build_object(
  'comment', obj_description(n.oid, 'pg_namespace'),
  'grants', CASE WHEN n.nspname <> 'public' THEN {_grants("n.nspacl", "n", "n.nspowner")} END,
  'owner', CASE WHEN n.nspname <> 'public'
    THEN nullif(pg_get_userbyid(n.nspowner), %(owner)s) END))
FROM pg_namespace n WHERE n.nspname = ANY(%(schemas)s)
"""

RELATIONS = f"""
SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
    WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'foreign table' ELSE 'table' END,
  n.nspname, '', c.relname, jsonb_strip_nulls(jsonb_build_object(
  'definition', CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid)
    WHEN c.relkind = 'S' THEN
      (SELECT {_SEQUENCE} FROM pg_sequence s WHERE s.seqrelid = c.oid) END,
  'owned by', (SELECT d.refobjid::regclass || '.' || quote_ident(a.attname)
    FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'a'
    AND c.relkind = 'S'),
  'persistence', CASE c.relpersistence WHEN 'u' THEN 'UNLOGGED' END,
  'populated', CASE WHEN c.relkind = 'm' AND NOT c.relispopulated THEN 'WITH NO DATA' END,
  'partition by', pg_get_partkeydef(c.oid),
  'partition of', CASE WHEN c.relispartition THEN
    (SELECT inhparent::regclass || ' ' FROM pg_inherits WHERE inhrelid = c.oid)
    || pg_get_expr(c.relpartbound, c.oid) END,
  'inherits', CASE WHEN NOT c.relispartition THEN (SELECT string_agg(inhparent::regclass::text, ', '
    ORDER BY inhseqno) FROM pg_inherits WHERE inhrelid = c.oid) END,
  'options', {_SORTED.format("c.reloptions")},
  'toast options', (SELECT (SELECT string_agg('toast.' || o, ', ' ORDER BY o)
      FROM unnest(t.reloptions) o) FROM pg_class t
    WHERE t.oid = c.reltoastrelid),
  'access method', nullif(m.amname, 'heap'),
  'tablespace', s.spcname,
  'row security', concat_ws(', ', CASE WHEN c.relrowsecurity THEN 'ENABLE' END,
    CASE WHEN c.relforcerowsecurity THEN 'FORCE' END),
  'replica identity', CASE WHEN c.relkind IN ('r', 'p') THEN CASE c.relreplident
    WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING' WHEN 'i' THEN 'USING INDEX ' || coalesce(
      (SELECT quote_ident(x.relname) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
       WHERE i.indrelid = c.oid AND i.indisreplident), '(dropped)') END END,
  'comment', obj_description(c.oid, 'pg_class'),
  'column comments', CASE WHEN c.relkind IN ('v', 'm') THEN (
    SELECT string_agg(quote_ident(attname) || ': ' || col_description(c.oid, attnum), E'\\n'
      ORDER BY attnum) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0) END,
  'grants', CASE WHEN c.relkind = 'S' THEN {_grants("c.relacl", "s", "c.relowner")}
    ELSE {_grants("c.relacl", "r", "c.relowner")} END,
  'owner', nullif(pg_get_userbyid(c.relowner), %(owner)s)))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_am m ON m.oid = c.relam
LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace
WHERE n.nspname = ANY(%(schemas)s) AND c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
AND NOT (c.relkind = 'S' AND EXISTS (SELECT FROM pg_depend d WHERE d.deptype = 'i'
  AND d.classid = 'pg_class'::regclass AND d.objid = c.oid))
AND {_ours("c.oid", "pg_class")}
"""

COLUMNS = f"""
SELECT 'column', n.nspname, c.relname, a.attname, jsonb_strip_nulls(jsonb_build_object(
  'type', format_type(a.atttypid, a.atttypmod),
  'null', CASE WHEN a.attnotnull THEN 'NOT NULL' || CASE WHEN EXISTS (
    SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'n'
    AND k.conkey = ARRAY[a.attnum] AND NOT k.convalidated) THEN ' NOT VALID' ELSE '' END END,
  'default', CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END,
  'generated', pg_get_expr(CASE WHEN a.attgenerated <> '' THEN d.adbin END, d.adrelid)
    || CASE a.attgenerated WHEN 's' THEN ' STORED' ELSE ' VIRTUAL' END,
  'identity', CASE a.attidentity WHEN 'a' THEN 'ALWAYS ' WHEN 'd' THEN 'BY DEFAULT ' END || (
    SELECT {_SEQUENCE} FROM pg_depend i JOIN pg_sequence s ON s.seqrelid = i.objid
    WHERE i.classid = 'pg_class'::regclass AND i.refclassid = 'pg_class'::regclass
    AND i.refobjid = c.oid AND i.refobjsubid = a.attnum AND i.deptype = 'i'),
  'collation', CASE WHEN a.attcollation <> y.typcollation
    THEN a.attcollation::regcollation::text END,
  'storage', CASE WHEN a.attstorage <> y.typstorage THEN CASE a.attstorage WHEN 'p' THEN 'PLAIN'
    WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' WHEN 'x' THEN 'EXTENDED' END END,
  'compression', CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END,
  'statistics', nullif(a.attstattarget, -1)::text,
  'options', {_SORTED.format("a.attoptions")},
  'comment', col_description(c.oid, a.attnum),
  'grants', {_grants("a.attacl", "c", "c.relowner")}))
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_type y ON y.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE n.nspname = ANY(%(schemas)s) AND c.relkind IN ('r', 'p', 'f')
AND a.attnum > 0 AND NOT a.attisdropped AND {_ours("c.oid", "pg_class")}
ORDER BY c.oid, a.attnum
"""

CONSTRAINTS = f"""
SELECT 'constraint', n.nspname, t.relname, c.conname, jsonb_strip_nulls(jsonb_build_object(
  'definition', pg_get_constraintdef(c.oid),
  'index', pg_get_indexdef(i.indexrelid),
  'valid', CASE WHEN NOT (i.indisvalid AND i.indisready) THEN 'INVALID' END,
  'clustered', CASE WHEN i.indisclustered THEN 'CLUSTER' END,
  'triggers', CASE WHEN c.contype = 'f' AND EXISTS (SELECT FROM pg_trigger g
    WHERE g.tgconstraint = c.oid AND g.tgenabled <> 'O') THEN 'DISABLED' END,
  'comment', obj_description(c.oid, 'pg_constraint')))
FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
LEFT JOIN pg_index i ON i.indexrelid = c.conindid AND c.contype IN ('p', 'u', 'x')
WHERE n.nspname = ANY(%(schemas)s) AND c.contype IN ('p', 'u', 'x', 'f', 'c')
AND c.conparentid = 0 AND (c.conislocal OR c.coninhcount = 0)
AND {_ours("t.oid", "pg_class")}
"""

INDEXES = f"""
SELECT 'index', n.nspname, t.relname, c.relname, jsonb_strip_nulls(jsonb_build_object(
  'definition', pg_get_indexdef(c.oid),
  'valid', CASE WHEN NOT (i.indisvalid AND i.indisready) AND t.relkind <> 'p' THEN 'INVALID' END,
  'clustered', CASE WHEN i.indisclustered THEN 'CLUSTER' END,
  'tablespace', s.spcname,
  'statistics', (SELECT string_agg(format('%%s: %%s', attnum, attstattarget), ', ' ORDER BY attnum)
    FROM pg_attribute WHERE attrelid = c.oid AND attstattarget >= 0),
  'comment', obj_description(c.oid, 'pg_class')))
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace
WHERE n.nspname = ANY(%(schemas)s) AND NOT c.relispartition
AND NOT EXISTS (SELECT FROM pg_constraint k
  WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x'))
AND {_ours("t.oid", "pg_class")} AND {_ours("c.oid", "pg_class")}
"""

TYPES = f"""
SELECT CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'r' THEN 'range type'
    ELSE 'composite type' END,
  n.nspname, '', t.typname, jsonb_strip_nulls(jsonb_build_object(
  'labels', (SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder)
    FROM pg_enum WHERE enumtypid = t.oid),
  'type', CASE t.typtype WHEN 'd' THEN format_type(t.typbasetype, t.typtypmod)
    WHEN 'r' THEN (SELECT format_type(rngsubtype, NULL) FROM pg_range WHERE rngtypid = t.oid) END,
  'null', CASE WHEN t.typnotnull THEN 'NOT NULL' END,
  'default', t.typdefault,
  'collation', CASE WHEN t.typtype = 'd' AND t.typcollation <> b.typcollation
    THEN t.typcollation::regcollation::text END,
  'checks', (SELECT string_agg('CONSTRAINT ' || quote_ident(conname) || ' '
      || pg_get_constraintdef(oid), E'\\n' ORDER BY conname)
    FROM pg_constraint WHERE contypid = t.oid AND contype = 'c'),
  'attributes', (SELECT string_agg(quote_ident(attname) || ' ' || format_type(atttypid, atttypmod)
      || CASE WHEN attcollation <> (SELECT typcollation FROM pg_type WHERE oid = atttypid)
         THEN ' COLLATE ' || attcollation::regcollation ELSE '' END, ', ' ORDER BY attnum)
    FROM pg_attribute WHERE attrelid = t.typrelid AND attnum > 0 AND NOT attisdropped),
  'comment', obj_description(t.oid, 'pg_type'),
  'grants', {_grants("t.typacl", "T", "t.typowner")},
  'owner', nullif(pg_get_userbyid(t.typowner), %(owner)s)))
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_class c ON c.oid = t.typrelid LEFT JOIN pg_type b ON b.oid = t.typbasetype
WHERE n.nspname = ANY(%(schemas)s)
AND (t.typtype IN ('e', 'd', 'r') OR t.typtype = 'c' AND c.relkind = 'c')
AND {_ours("t.oid", "pg_type")}
"""

FUNCTIONS = f"""
SELECT CASE p.prokind WHEN 'a' THEN 'aggregate' WHEN 'p' THEN 'procedure' ELSE 'function' END,
  n.nspname, '', quote_ident(p.proname) || '(' || pg_get_function_identity_arguments(p.oid) || ')',
  jsonb_strip_nulls(jsonb_build_object(
  'definition', CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) ELSE (
    SELECT format('SFUNC = %%s, STYPE = %%s%%s%%s', aggtransfn, format_type(aggtranstype, NULL),
      ', FINALFUNC = ' || nullif(aggfinalfn::oid, 0)::regproc,
      ', INITCOND = ' || quote_literal(agginitval))
    FROM pg_aggregate WHERE aggfnoid = p.oid) END,
  'comment', obj_description(p.oid, 'pg_proc'),
  'grants', {_grants("p.proacl", "f", "p.proowner")},
  'owner', nullif(pg_get_userbyid(p.proowner), %(owner)s)))
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = ANY(%(schemas)s) AND {_ours("p.oid", "pg_proc")}
AND NOT EXISTS (SELECT FROM pg_depend i WHERE i.classid = 'pg_proc'::regclass
  AND i.objid = p.oid AND i.deptype = 'i')
"""

_FIRES = """CASE {} WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA'
    WHEN 'A' THEN 'ENABLE ALWAYS' END"""

TRIGGERS = f"""
SELECT 'trigger', n.nspname, t.relname, g.tgname, jsonb_strip_nulls(jsonb_build_object(
  'definition', pg_get_triggerdef(g.oid),
  'fires', {_FIRES.format("g.tgenabled")},
  'comment', obj_description(g.oid, 'pg_trigger')))
FROM pg_trigger g JOIN pg_class t ON t.oid = g.tgrelid JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE n.nspname = ANY(%(schemas)s) AND NOT g.tgisinternal AND g.tgparentid = 0
AND {_ours("t.oid", "pg_class")} AND {_ours("g.oid", "pg_trigger")}
UNION ALL
SELECT 'rule', n.nspname, t.relname, r.rulename, jsonb_strip_nulls(jsonb_build_object(
  'definition', pg_get_ruledef(r.oid),
  'fires', {_FIRES.format("r.ev_enabled")},
  'comment', obj_description(r.oid, 'pg_rewrite')))
FROM pg_rewrite r JOIN pg_class t ON t.oid = r.ev_class
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE n.nspname = ANY(%(schemas)s) AND r.rulename <> '_RETURN' AND {_ours("t.oid", "pg_class")}
UNION ALL
SELECT 'policy', n.nspname, t.relname, p.polname, jsonb_strip_nulls(jsonb_build_object(
  'definition', CASE WHEN p.polpermissive THEN 'AS PERMISSIVE' ELSE 'AS RESTRICTIVE' END
    || ' FOR ' || CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT'
      WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END
    || ' TO ' || (SELECT string_agg(CASE role WHEN 0 THEN 'PUBLIC'
      ELSE quote_ident(pg_get_userbyid(role)) END, ', ') FROM unnest(p.polroles) role)
    || coalesce(' USING (' || pg_get_expr(p.polqual, t.oid) || ')', '')
    || coalesce(' WITH CHECK (' || pg_get_expr(p.polwithcheck, t.oid) || ')', ''),
  'comment', obj_description(p.oid, 'pg_policy')))
FROM pg_policy p JOIN pg_class t ON t.oid = p.polrelid JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE n.nspname = ANY(%(schemas)s) AND {_ours("t.oid", "pg_class")}
UNION ALL
SELECT 'statistics', n.nspname, '', s.stxname, jsonb_strip_nulls(jsonb_build_object(
  'definition', pg_get_statisticsobjdef(s.oid),
  'statistics', nullif(s.stxstattarget, -1)::text,
  'comment', obj_description(s.oid, 'pg_statistic_ext'),
  'owner', nullif(pg_get_userbyid(s.stxowner), %(owner)s)))
FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
WHERE n.nspname = ANY(%(schemas)s) AND {_ours("s.oid", "pg_statistic_ext")}
UNION ALL
SELECT 'collation', n.nspname, '', c.collname, jsonb_strip_nulls(jsonb_build_object(
  'definition', format('PROVIDER = %%s, DETERMINISTIC = %%s, LC_COLLATE = %%s, LC_CTYPE = %%s',
    c.collprovider, c.collisdeterministic, c.collcollate, c.collctype),
  'comment', obj_description(c.oid, 'pg_collation')))
FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
WHERE n.nspname = ANY(%(schemas)s) AND {_ours("c.oid", "pg_collation")}
"""

OF_THE_DATABASE = """
SELECT 'extension', '', '', x.extname, jsonb_strip_nulls(jsonb_build_object(
  'version', CASE WHEN x.extversion IS DISTINCT FROM v.default_version THEN format(
    '%%s (the server offers %%s)', x.extversion, coalesce(v.default_version, 'none')) END,
  'schema', CASE WHEN NOT n.nspname = ANY(%(path)s) THEN n.nspname END,
  'owner', nullif(pg_get_userbyid(x.extowner), %(owner)s)))
FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace
LEFT JOIN pg_available_extensions v ON v.name = x.extname
UNION ALL
SELECT 'event trigger', '', '', e.evtname, jsonb_strip_nulls(jsonb_build_object(
  'definition', format('ON %%s%%s EXECUTE FUNCTION %%s()', e.evtevent, (
    SELECT ' WHEN TAG IN (' || string_agg(quote_literal(tag), ', ') || ')'
    FROM unnest(e.evttags) tag), e.evtfoid::regproc),
  'fires', CASE WHEN e.evtenabled <> 'O' THEN e.evtenabled::text END))
FROM pg_event_trigger e WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.deptype = 'e'
  AND d.classid = 'pg_event_trigger'::regclass AND d.objid = e.oid)
UNION ALL
SELECT 'publication', '', '', p.pubname, jsonb_strip_nulls(jsonb_build_object(
  'definition', CASE WHEN p.puballtables THEN 'FOR ALL TABLES' ELSE 'FOR TABLE ' || (
    SELECT string_agg(format('%%I.%%I', t.schemaname, t.tablename), ', '
      ORDER BY t.schemaname, t.tablename) FROM pg_publication_tables t
    WHERE t.pubname = p.pubname) END,
  'options', format('insert %%s, update %%s, delete %%s, truncate %%s, via root %%s',
    p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, p.pubviaroot)))
FROM pg_publication p
"""

QUERIES = (
    SCHEMAS,
    RELATIONS,
    COLUMNS,
    CONSTRAINTS,
    INDEXES,
    TYPES,
    FUNCTIONS,
    TRIGGERS,
    OF_THE_DATABASE,
)
