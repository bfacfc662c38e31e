"""How PostgreSQL would run the queries that must not become slow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from pgsteady.finding import Finding, Severity
from pgsteady.verify.digest import attempted, query, said_by
from pgsteady.verify.evidence import Plan

LARGE_PAGES = 1000
"""A table of fewer pages (8 kB each) is read as a whole in milliseconds, rightly."""
COST_RATIO = 5.0
"""Costs that grow less than this may be due to statistics alone."""

SEQUENTIAL = "Seq Scan"
_PAGES = text(
    "SELECT n.nspname || '.' || c.relname, c.relpages FROM pg_class c "
    "JOIN pg_namespace n ON n.oid = c.relnamespace "
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
        elif max(now.pages.values(), default=0) >= LARGE_PAGES and now.cost > (
            COST_RATIO * was.cost * _growth(was, now)
        ):
            yield _regression(title, f"the planner's cost went from {was.cost:g} to {now.cost:g}")


def _growth(was: Plan, now: Plan) -> float:
    """Return by how much its tables grew, which costs more anyway."""
    before = sum(was.pages.values())
    return max(1.0, sum(now.pages.values()) / before) if before else 1.0


def _regression(title: str, message: str, severity: Severity = Severity.WARNING) -> Finding:
    return Finding(
        severity=severity,
        code="slower-query",
        object=f"hot query {title}",
        message=message,
        cure="Is the index that it used still there and valid? If so: ANALYZE its tables.",
    )


def _plan(connection: Connection, sql: str) -> Plan:
    with attempted(connection):
        [(document,)] = query(connection, f"EXPLAIN (FORMAT JSON, VERBOSE) {sql}")
    root = document[0]["Plan"]
    scans: dict[str, set[str]] = defaultdict(set)
    for node in _nodes(root):
        if "Relation Name" in node:
            table = f"{node['Schema']}.{node['Relation Name']}"
            scans[table] |= (
                {node["Node Type"]}
                if "Index Name" not in node
                else {f"{node['Node Type']} {node['Index Name']}"}
            )
            if node["Node Type"] == "Bitmap Heap Scan":
                scans[table] |= {
                    f"index {n['Index Name']}" for n in _nodes(node) if "Index Name" in n
                }
    pages = connection.execute(_PAGES, {"tables": list(scans)}).all()
    return Plan(
        sql=sql,
        cost=root["Total Cost"],
        scans={table: sorted(kinds) for table, kinds in scans.items()},
        pages={table: number for table, number in pages},  # noqa: C416 - of rows,
    )


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
