"""Locks that follow from a statement itself, where it is over too soon to be watched."""

from __future__ import annotations

import re

MODE = "SHARE UPDATE EXCLUSIVE"
"""What the statements below take on a table.

https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES
"""
_WORD = r'(?:"(?:[^"]|"")+"|\w+)'
_NAME = rf"{_WORD}(?:\.{_WORD})?"
_TAKES_IT = re.compile(
    rf"""\s*(?:
        CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+(?:IF\s+NOT\s+EXISTS\s+)?
            (?:{_WORD}\s+)?ON\s+(?:ONLY\s+)?
        | DROP\s+INDEX\s+CONCURRENTLY\s+(?:IF\s+EXISTS\s+)?
        | REINDEX\s*(?:\([^)]*\)\s*)?(?:INDEX|TABLE)\s+CONCURRENTLY\s+
        | VACUUM\b\s*(?:\((?![^)]*\bFULL\b)[^)]*\)\s*)?(?:(?:FREEZE|VERBOSE|ANALYZE)\s+)*
    )({_NAME})""",
    re.IGNORECASE | re.VERBOSE,
)

TABLE = """
    SELECT format('%%I.%%I', n.nspname, t.relname)
    FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid
    JOIN pg_class t ON t.oid = coalesce(i.indrelid, c.oid)
    JOIN pg_namespace n ON n.oid = t.relnamespace
    WHERE c.oid = to_regclass(%s)
"""
"""The table that is meant by its name, or by that of its index."""


def named(sql: str) -> str | None:
    """Return the table or index that ``sql`` names, if it takes :data:`MODE` on the table."""
    found = _TAKES_IT.match(sql)
    return found[1] if found else None
