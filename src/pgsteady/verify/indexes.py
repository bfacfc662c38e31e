"""Are indexes valid, and do they find exactly the rows that are in the table?"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from pgsteady.finding import Finding, Severity
from pgsteady.progress import Progress
from pgsteady.verify.digest import WITHOUT_INDEXES, name, query, said_by, settings
from pgsteady.verify.plans import nodes
from pgsteady.verify.relations import OURS_OR_THE_SYSTEMS
from pgsteady.verify.rows import is_damage, unreadable

_UNUSABLE = f"""
SELECT n.nspname::text, c.relname::text, x.relname::text, x.relkind = 'I'
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT (i.indisvalid AND i.indisready AND i.indislive) AND NOT ({OURS_OR_THE_SYSTEMS})
  AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = x.oid)
ORDER BY 1, 2, 3
"""  # noqa: S608 - constants only

_ORDER = """ARRAY(
    SELECT ARRAY[pg_get_indexdef(i.indexrelid, k, false) || coalesce((
        SELECT format(' COLLATE %I.%I', n.nspname, l.collname) FROM pg_collation l
        JOIN pg_namespace n ON n.oid = l.collnamespace WHERE l.oid = i.indcollation[k - 1]), ''),
      format('OPERATOR(%I.%s)', s.nspname, o.oprname),
      CASE WHEN i.indoption[k - 1] & 2 = 2 THEN 'NULLS FIRST' ELSE 'NULLS LAST' END]
    FROM generate_series(1, i.indnkeyatts) k JOIN pg_opclass c ON c.oid = i.indclass[k - 1]
    JOIN pg_amop a ON a.amopfamily = c.opcfamily AND a.amoplefttype = c.opcintype
      AND a.amoprighttype = c.opcintype
      AND a.amopstrategy = CASE WHEN i.indoption[k - 1] & 1 = 1 THEN 5 ELSE 1 END
    JOIN pg_operator o ON o.oid = a.amopopr JOIN pg_namespace s ON s.oid = o.oprnamespace
    ORDER BY k)"""
"""What the B-tree ``i`` sorts by: expressions, operators (1 is "less", 5 "greater"), NULLs."""

_OF_EVERYTHING = {
    "range_ops": "&&) '(,)'",
    "array_ops": "@>) '{}'",
    "jsonb_ops": "@>) '{}'",
    "jsonb_path_ops": "@>) '{}'",
}
"""The operator class of a GIN or GiST index, and what it finds (nearly) all rows by."""

_READABLE = f"""
SELECT n.nspname::text, c.relname::text, x.relname::text, pg_relation_size(x.oid),
  coalesce(pg_get_expr(i.indpred, i.indrelid), 'true'),
  CASE m.amname WHEN 'btree' THEN {_ORDER} END,
  pg_get_indexdef(i.indexrelid, 1, false), k.opcname::text
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_opclass k ON k.oid = i.indclass[0]
WHERE (m.amname = 'btree' OR m.amname IN ('gin', 'gist')
    AND k.opcname IN ('{"', '".join(_OF_EVERYTHING)}'))
  AND x.relkind = 'i' AND i.indisvalid AND i.indisready
  AND c.relkind IN ('r', 'm') AND NOT ({OURS_OR_THE_SYSTEMS}) ORDER BY 1, 2, 3
"""  # noqa: S608 - constants only
"""Indexes that can be read from end to end: in their order, or by what every value contains."""

_BY_INDEX = {
    "enable_seqscan": "off",
    "enable_sort": "off",
    "enable_incremental_sort": "off",
    "max_parallel_workers_per_gather": "0",
}


def indexes(connection: Connection, progress: Progress) -> Iterator[Finding]:
    """Find indexes that are invalid, or that lead to other rows than the table has.

    B-trees, and GIN and GiST indexes of arrays, documents and ranges, are read from end to
    end and counted; the order of a B-tree is checked. Where the extension ``amcheck`` is
    installed, and the role may call it, that examines the structure of each B-tree as well.
    """
    for schema, table, index, partitioned in query(connection, _UNUSABLE):
        yield Finding(
            severity=Severity.ERROR,
            code="invalid-index",
            object=f"index {schema}.{table}.{index}",
            message="it is INVALID: no query uses it, and it may not keep values unique",
            sql="" if partitioned else f"REINDEX INDEX {name(schema, index)};",
            cure="Each partition needs an index attached to it." if partitioned else "",
        )
    readable = query(connection, _READABLE)
    amcheck = _amcheck(connection)
    done = 0
    with progress.step("Reading the indexes", sum(row[3] for row in readable) or 1) as advance:
        for schema, table, index, size, predicate, order, key, operator_class in readable:
            rows = f"FROM ONLY {name(schema, table)} WHERE {predicate}"
            if not order:
                rows += f" AND {key} OPERATOR(pg_catalog.{_OF_EVERYTHING[operator_class]}"
            object_ = f"index {schema}.{table}.{index}"
            try:
                why = _disagreement(connection, index, rows, order)
                if not why and amcheck and order:
                    _examine_structure(connection, amcheck, name(schema, index))
            except DBAPIError as error:
                why = f"it is damaged ({said_by(error)})" if is_damage(error) else None
                if not why:
                    yield unreadable(object_, error)
            if why:
                yield Finding(
                    severity=Severity.ERROR,
                    code="index-disagrees",
                    object=object_,
                    message=f"{why}: queries that use it give wrong answers",
                    sql=f"REINDEX INDEX {name(schema, index)};",
                )
            done += size
            advance(done)


def _disagreement(
    connection: Connection, index: str, rows: str, order: list[list[str]] | None
) -> str | None:
    """Read the rows by the index and without it, and return in what they differ.

    Raises:
        DBAPIError: they cannot be read; the transaction can go on.
    """
    by_index = _in_order(rows, order) if order else f"SELECT count(*), 0 {rows}"
    with connection.begin_nested():
        with settings(connection, _BY_INDEX):
            if not _uses(connection, by_index, index):
                return None  # another does the same, and there is no way to name one
            [(found, astray)] = query(connection, by_index)
        with settings(connection, WITHOUT_INDEXES):
            [(there,)] = query(connection, f"SELECT count(*) {rows}")
    if found != there:
        return f"it leads to {found} of {there} rows"
    if astray:
        return (
            f"it is out of order in {astray} places, as after a change of a collation or of a "
            "function that it calls"
        )
    return None


def _in_order(rows: str, order: list[list[str]]) -> str:
    """Return SQL that reads in an index's order: how many rows, how many sort before the last.

    OFFSET 0 keeps PostgreSQL from leaving out an order that nobody asks for.
    """
    (key, before, _), *_ = order
    by = ", ".join(f"{each} USING {operator} {nulls}" for each, operator, nulls in order)
    return (
        f"SELECT count(*), count(*) FILTER (WHERE key {before} previous) FROM ("  # noqa: S608
        "SELECT key, lag(key) OVER () AS previous FROM ("
        f"SELECT {key} AS key {rows} ORDER BY {by} OFFSET 0) AS read) AS found"
    )


def _uses(connection: Connection, sql: str, index: str) -> bool:
    [(plan,)] = query(connection, f"EXPLAIN (FORMAT JSON) {sql}")
    return any(node.get("Index Name") == index for node in nodes(plan[0]["Plan"]))


def _amcheck(connection: Connection) -> str | None:
    """Return the function of ``amcheck`` that this role may call."""
    found = text(
        "SELECT format('%I.bt_index_check', n.nspname) FROM pg_extension e "
        "JOIN pg_namespace n ON n.oid = e.extnamespace JOIN pg_proc p ON p.pronamespace = n.oid "
        "WHERE e.extname = 'amcheck' AND p.proname = 'bt_index_check' AND p.pronargs = 2 "
        "AND has_function_privilege(p.oid, 'EXECUTE')"
    )
    function: str | None = connection.scalar(found)
    return function


def _examine_structure(connection: Connection, amcheck: str, index: str) -> None:
    """Raise what ``amcheck`` raises about an index."""
    call = text(f"SELECT {amcheck}(CAST(:index AS regclass), true)")
    with connection.begin_nested():
        connection.execute(call, {"index": index})
