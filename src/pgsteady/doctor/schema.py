"""What a failed or unfinished change left in the schema."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text

from pgsteady.doctor.examination import Answer, Patient
from pgsteady.finding import Finding, Severity

REPAIR = "Let `python -m pgsteady repair` do it"

INVALID = text(
    "SELECT i.indexrelid::regclass::text AS name, i.indrelid::regclass::text AS of_table, "
    "i.indisunique AS is_unique, c.relkind = 'I' AS partitioned, "
    "c.relname ~ '_cc(new|old)[0-9]*$' AS left_over, "
    "pg_has_role(c.relowner, 'USAGE') AS ours "
    "FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
    "WHERE NOT (i.indisvalid AND i.indisready) AND NOT EXISTS ("  # unless it is being built now
    "SELECT FROM pg_stat_progress_create_index p JOIN pg_database d ON d.oid = p.datid "
    "WHERE d.datname = current_database() AND coalesce(p.relid, i.indrelid) = i.indrelid) "
    "ORDER BY 1"
)
"""Also for ``repair``; ``name`` and ``of_table`` are as SQL writes them."""
_NOT_VALID = text(
    "SELECT quote_ident(k.conname) AS name, k.conrelid::regclass::text AS of_table "
    "FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace "
    "WHERE NOT k.convalidated AND k.conrelid <> 0 AND k.conparentid = 0 "
    "AND n.nspname !~ '^(pg_|information_schema$)' ORDER BY 2, 1"
)


def indexes(patient: Patient) -> Answer:
    """Tell of INVALID indexes: each costs every write, and serves no query."""
    found = patient.connection.execute(INVALID).all()
    pending = bool(found) and bool(patient.status.pending)
    return Answer("all are valid", tuple(_invalid(index, pending=pending) for index in found))


def constraints(patient: Patient) -> Answer:
    """Tell of NOT VALID constraints: rows that break them may be there."""
    findings = tuple(
        Finding(
            severity=Severity.WARNING,
            code="constraint-not-valid",
            object=f"constraint {constraint.name} of {constraint.of_table}",
            message="It holds for rows written since it was made; those before were never checked.",
            cure="Mend the rows that break it, then, while others work:",
            sql=f"ALTER TABLE {constraint.of_table} VALIDATE CONSTRAINT {constraint.name};",
        )
        for constraint in patient.connection.execute(_NOT_VALID)
    )
    return Answer("all are valid", findings)


def _invalid(index: Any, *, pending: bool) -> Finding:
    duplicates = "remove the rows that are there twice, then " if index.is_unique else ""
    if index.partitioned:
        cure = "Make the index on each partition, and attach it:"
        sql = f"ALTER INDEX {index.name} ATTACH PARTITION …;"
    elif index.left_over:
        cure = f"REINDEX CONCURRENTLY left it behind. {REPAIR}, or drop it:"
        sql = f"DROP INDEX CONCURRENTLY {index.name};"
    elif pending:
        cure = f"{REPAIR}; or first {duplicates}drop it, and run `alembic upgrade head` again:"
        sql = f"DROP INDEX CONCURRENTLY {index.name};"
    else:
        cure = f"{REPAIR}; or first {duplicates}build it anew:" if duplicates else f"{REPAIR}; or:"
        sql = f"REINDEX INDEX CONCURRENTLY {index.name};"
    return Finding(
        severity=Severity.ERROR,
        code="index-invalid",
        object=f"index {index.name} of {index.of_table}",
        message="It is INVALID: CREATE INDEX CONCURRENTLY failed. It slows every write down, "
        "and no query uses it.",
        cure=cure,
        sql=sql,
    )
