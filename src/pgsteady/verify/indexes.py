"""Are indexes valid, and do they find exactly the rows that are in the table?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from pgsteady.finding import Finding, Severity
from pgsteady.progress import Progress
from pgsteady.verify.digest import name, query, said_by, settings
from pgsteady.verify.plans import nodes
from pgsteady.verify.relations import OURS_OR_THE_SYSTEMS, index_keys
from pgsteady.verify.rows import INSUFFICIENT_PRIVILEGE, unreadable

_UNUSABLE = f"""
SELECT n.nspname::text, c.relname::text, x.relname::text, x.relkind = 'I'
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT (i.indisvalid AND i.indisready AND i.indislive) AND NOT ({OURS_OR_THE_SYSTEMS})
  AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = x.oid)
ORDER BY 1, 2, 3
"""  # noqa: S608 - constants only

_DIRECTION = """CASE WHEN i.indoption[k - 1] & 1 = 1 THEN ' DESC' ELSE '' END
  || CASE WHEN i.indoption[k - 1] & 2 = 2 THEN ' NULLS FIRST' ELSE ' NULLS LAST' END"""

_ORDERED = f"""
SELECT n.nspname::text, c.relname::text, x.relname::text, pg_relation_size(x.oid),
  {index_keys(_DIRECTION)},
  coalesce(pg_get_expr(i.indpred, i.indrelid), 'true')
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE m.amname = 'btree' AND x.relkind = 'i' AND i.indisvalid AND i.indisready
  AND c.relkind IN ('r', 'm') AND NOT ({OURS_OR_THE_SYSTEMS}) ORDER BY 1, 2, 3
"""  # noqa: S608 - constants only

_BY_INDEX = {
    "enable_seqscan": "off",
    "enable_sort": "off",
    "enable_bitmapscan": "off",
    "enable_incremental_sort": "off",
    "max_parallel_workers_per_gather": "0",
}
_WITHOUT_INDEX = {
    "enable_indexscan": "off",
    "enable_indexonlyscan": "off",
    "enable_bitmapscan": "off",
}
"""Under which a query reads the table itself."""


def indexes(connection: Connection, progress: Progress) -> Iterator[Finding]:
    """Find indexes that are invalid, or that lead to other rows than the table has.

    A B-tree is read from end to end and counted; where the extension ``amcheck`` is
    installed, and the role may call it, that examines the structure of each as well.
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
    function = _amcheck(connection)
    ordered = query(connection, _ORDERED)
    done = 0
    with progress.step("Reading the indexes", sum(row[3] for row in ordered) or 1) as advance:
        for schema, table, index, size, keys, predicate in ordered:
            disagreeing = list(_disagreement(connection, schema, table, index, keys, predicate))
            yield from disagreeing
            if function and not disagreeing:
                yield from _structure(connection, function, schema, table, index)
            done += size
            advance(done)


def without_indexes(connection: Connection) -> AbstractContextManager[None]:
    """Read tables themselves for as long as the block lasts."""
    return settings(connection, _WITHOUT_INDEX)


def _disagreement(
    connection: Connection, schema: str, table: str, index: str, keys: list[str], predicate: str
) -> Iterator[Finding]:
    rows = f"FROM ONLY {name(schema, table)} WHERE {predicate}"
    by_index = (
        f"SELECT count(*) FROM (SELECT 1 {rows} ORDER BY {', '.join(keys)} OFFSET 0) AS found"  # noqa: S608 - from the catalog
    )
    object_ = f"index {schema}.{table}.{index}"
    try:
        with connection.begin_nested():
            with settings(connection, _BY_INDEX):
                if not _uses(connection, by_index, index):
                    return  # another index gives the same order, and there is no way to name one
                [(found,)] = query(connection, by_index)
            with without_indexes(connection):
                [(there,)] = query(connection, f"SELECT count(*) {rows}")
    except DBAPIError as error:
        yield unreadable(object_, error)
        return
    if found != there:
        yield Finding(
            severity=Severity.ERROR,
            code="index-disagrees",
            object=object_,
            message=f"it leads to {found} rows, and the table has {there}: queries that use it "
            "give wrong answers",
            sql=f"REINDEX INDEX {name(schema, index)};",
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


def _structure(
    connection: Connection, function: str, schema: str, table: str, index: str
) -> Iterator[Finding]:
    call = text(f"SELECT {function}(CAST(:index AS regclass), true)")
    try:
        with connection.begin_nested():
            connection.execute(call, {"index": name(schema, index)})
    except DBAPIError as error:
        if getattr(error.orig, "pgcode", None) == INSUFFICIENT_PRIVILEGE:
            return
        yield Finding(
            severity=Severity.ERROR,
            code="index-disagrees",
            object=f"index {schema}.{table}.{index}",
            message=f"amcheck says: {said_by(error)}",
            sql=f"REINDEX INDEX {name(schema, index)};",
        )
