"""Who is at work in the database, and would stand in a migration's way."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import text

from pgsteady.doctor.examination import Answer, Patient
from pgsteady.finding import Finding, Severity

OLD_S = 5.0
"""A transaction of this age outlasts the lock_timeout of a revision."""
QUERY_LENGTH = 80

_TRANSACTIONS = text(
    "SELECT a.pid, coalesce(a.usename, '') AS user, a.application_name AS program, a.state, "
    "extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS age_s, a.query, l.tables "
    "FROM pg_stat_activity a CROSS JOIN LATERAL ("
    "SELECT string_agg(DISTINCT l.relation::regclass::text, ', ') AS tables FROM pg_locks l "
    "JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE l.pid = a.pid AND l.granted AND c.relkind IN ('r', 'p', 'm') "
    "AND l.database = a.datid AND n.nspname !~ '^(pg_|information_schema$)') l "
    "WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND ("
    "a.xact_start < clock_timestamp() - make_interval(secs => :old_s) "
    "AND a.backend_type = 'client backend' "
    "OR a.backend_type IS NULL AND l.tables IS NOT NULL) ORDER BY a.xact_start"
)
_PREPARED = text(
    "SELECT quote_literal(gid) AS name, owner, "
    "extract(epoch FROM clock_timestamp() - prepared)::float8 AS age_s "
    "FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared"
)

_LITERAL = re.compile(
    r"""--[^\n]* | /\*.*?(?:\*/|\Z)                         # a comment
    | \$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z)                # $$…$$
    | [eE]'(?:\\.|''|[^'\\])*(?:'|\Z) | '(?:''|[^'])*(?:'|\Z)  # '…', or cut off within
    | (?P<name>"(?:""|[^"])*(?:"|\Z)) | (?P<word>[^\W\d]\w*)
    | \d[\w.]*""",
    re.VERBOSE | re.DOTALL,
)


def transactions(patient: Patient) -> Answer:
    """Tell of transactions so old that a migration would wait for them in vain."""
    rows = patient.connection.execute(_TRANSACTIONS, {"old_s": OLD_S}).all()
    findings = [_old(row) for row in rows if row.age_s is not None]
    findings += [_prepared(row) for row in patient.connection.execute(_PREPARED)]
    if hidden := [row for row in rows if row.age_s is None]:
        return Answer(_hidden(hidden, patient), tuple(findings), known=False)
    return Answer(f"none is older than {OLD_S:g} s", tuple(findings))


def without_literals(query: str) -> str:
    """Return ``query`` in one short line, with ``?`` for each value and no comment.

    The server may have cut it off anywhere; what was cut within a value is a value.
    """

    def replace(found: re.Match[str]) -> str:
        if found["name"] or found["word"]:
            return found[0]
        return " " if found[0].startswith(("--", "/*")) else "?"

    line = " ".join(_LITERAL.sub(replace, query).split())
    return line if len(line) <= QUERY_LENGTH else f"{line[: QUERY_LENGTH - 1]}…"


def _old(row: Any) -> Finding:
    locked = f"; it has locked {row.tables}" if row.tables else ""
    program = f" ({row.program})" if row.program else ""
    return Finding(
        severity=Severity.WARNING,
        code="long-transaction",
        object=f"pid {row.pid}",
        message=f"{row.user}{program} has had a transaction open for {_age(row.age_s)}, "
        f"now {row.state}{locked}. A migration that needs its tables would give up, and an index "
        f"built concurrently would wait. Last query: {without_literals(row.query)}",
        cure="End it where it runs; or, if its work may be lost:",
        sql=f"SELECT pg_terminate_backend({row.pid});",
    )


def _prepared(row: Any) -> Finding:
    return Finding(
        severity=Severity.WARNING,
        code="prepared-transaction",
        object=f"prepared transaction {row.name}",
        message=f"{row.owner} prepared it {_age(row.age_s)} ago; it keeps its locks until "
        "somebody ends it.",
        cure="Commit it where it belongs; or, if its work may be lost:",
        sql=f"ROLLBACK PREPARED {row.name};",
    )


def _hidden(rows: Sequence[Any], patient: Patient) -> str:
    who = "; ".join(f"pid {row.pid} of {row.user} has locked {row.tables}" for row in rows)
    return (
        f"{who}; since when is not shown to {patient.role}: "
        f"GRANT pg_read_all_stats TO {patient.role};"
    )


def _age(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
