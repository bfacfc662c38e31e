"""How PostgreSQL would run the queries that must not become slow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from pgsteady.finding import Finding, Severity
from pgsteady.verify.digest import query, said_by
from pgsteady.verify.evidence import Plan

LARGE_PAGES = 1000
"""A table of fewer pages (8 kB each) is read as a whole in milliseconds, rightly."""
COST_RATIO = 5.0
"""Costs that grow less than this may be due to statistics alone."""

SEQUENTIAL = "Seq Scan"
_TABLES = text(
    "SELECT n.nspname || '.' || c.relname, "
    "pg_relation_size(c.oid) / current_setting('block_size')::int, EXISTS (SELECT FROM pg_stats s "
    "WHERE s.schemaname = n.nspname AND s.tablename = c.relname) "
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname || '.' || c.relname = ANY(:tables)"
)
NOT_THERE_YET = {"42P01", "42703", "42883", "42704"}
"""No such table, column, function or type: perhaps a pending revision makes it."""


def plans(connection: Connection, queries: Mapping[str, str]) -> Iterator[tuple[str, Plan]]:
    """Yield the plan of each query that can be planned now."""
    for title, sql in queries.items():
        try:
            yield title, _plan(connection, sql)
        except DBAPIError:
            continue  # `unplannable` says so


def unplannable(
    connection: Connection, queries: Mapping[str, str], *, at_head: bool
) -> Iterator[Finding]:
    """Find hot queries that cannot run; not those for which a pending revision is needed."""
    for title, sql in queries.items():
        try:
            _plan(connection, sql)
        except DBAPIError as error:
            if at_head or getattr(error.orig, "pgcode", None) not in NOT_THERE_YET:
                yield Finding(
                    severity=Severity.ERROR,
                    code="broken-query",
                    object=f"hot query {title}",
                    message=f"it cannot run: {said_by(error)}",
                    cure="Correct it in the model's info, or the schema that it needs.",
                )


def slower(before: Mapping[str, Plan], after: Mapping[str, Plan]) -> Iterator[Finding]:
    """Find queries that read a large table as a whole now, or cost several times more."""
    for title, was in before.items():
        now = after.get(title)
        if now is None:
            yield _regression(title, "it cannot be planned any more", Severity.ERROR)
            continue
        scanned = [
            table
            for table, scans in now.scans.items()
            if SEQUENTIAL in scans
            and SEQUENTIAL not in was.scans.get(table, [SEQUENTIAL])
            and now.pages.get(table, 0) >= LARGE_PAGES
        ]
        if scanned:
            used = ", ".join(
                scan for table in scanned for scan in was.scans[table] if scan != SEQUENTIAL
            )
            yield _regression(
                title, f"it reads the whole of {', '.join(scanned)} now; before: {used}"
            )
        elif _costs_more(was, now):
            yield _regression(title, f"the planner's cost went from {was.cost:g} to {now.cost:g}")


def _costs_more(was: Plan, now: Plan) -> bool:
    """Tell whether it costs more than COST_RATIO times as much, beyond its tables' growth.

    Without statistics a cost says nothing, and in small tables it does not matter.
    """
    pages = sum(was.pages.values()), sum(now.pages.values())
    growth = max(1.0, pages[1] / pages[0]) if pages[0] else 1.0
    known = was.analysed and now.analysed and max(now.pages.values(), default=0) >= LARGE_PAGES
    return known and now.cost > COST_RATIO * was.cost * growth


def _regression(title: str, message: str, severity: Severity = Severity.WARNING) -> Finding:
    return Finding(
        severity=severity,
        code="slower-query",
        object=f"hot query {title}",
        message=message,
        cure="Is the index that it used still there and valid? If so: ANALYZE its tables.",
    )


def _plan(connection: Connection, sql: str) -> Plan:
    with connection.begin_nested():
        [(document,)] = query(connection, f"EXPLAIN (FORMAT JSON, VERBOSE) {sql}")
    root = document[0]["Plan"]
    scans: dict[str, set[str]] = defaultdict(set)
    for node in nodes(root):
        if "Relation Name" in node:
            scans[f"{node['Schema']}.{node['Relation Name']}"] |= _ways(node)
    tables = connection.execute(_TABLES, {"tables": list(scans)}).all()
    return Plan(
        sql=sql,
        cost=root["Total Cost"],
        scans={table: sorted(kinds) for table, kinds in scans.items()},
        pages={table: number for table, number, _ in tables},
        analysed=all(known for _, number, known in tables if number),
    )


def _ways(scan: dict[str, Any]) -> set[str]:
    """Name the kind of a scan, and the index if it uses one; bitmaps may use several."""
    bitmaps = (node for node in nodes(scan) if node["Node Type"] == "Bitmap Index Scan")
    indexes = [node["Index Name"] for node in (scan, *bitmaps) if "Index Name" in node]
    return {f"{scan['Node Type']} {index}" for index in indexes} or {scan["Node Type"]}


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the nodes of a plan, as EXPLAIN writes it in JSON."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)
