"""Why a database could not be dumped, and what helps."""

from __future__ import annotations

import re

from sqlalchemy import text

from pgsteady.backup.files import tail
from pgsteady.catalog import quoted
from pgsteady.connection import connect
from pgsteady.errors import BackupFailed
from pgsteady.url import DatabaseUrl

MORE_SPACE = "Free some space, or name another --folder."

_CURES = (
    ("No space left on device|File too large", MORE_SPACE),
    (
        "permission denied",
        "An administrator lets this role read everything: GRANT pg_read_all_data TO {user};",
    ),
    (
        "row-level security",
        "An administrator lets this role read every row: ALTER ROLE {user} BYPASSRLS;",
    ),
    (
        "could not obtain lock|lock timeout|statement timeout",
        "Somebody wants to alter a table: {blockers}. Run the command again when that has ended.",
    ),
)
_BLOCKERS = text("""
    SELECT DISTINCT format('pid %s (%s, %s, since %s) on %s', a.pid, a.usename,
        coalesce(nullif(a.application_name, ''), 'unnamed program'),
        to_char(a.xact_start, 'YYYY-MM-DD HH24:MI:SS'), l.relation::regclass)
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND a.pid <> pg_backend_pid()
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.relation >= 16384
""")  # below are the system's own tables


def refused(complaint: str, database: DatabaseUrl) -> BackupFailed:
    """Return the error for what the server, or pg_dump, complained of, with the next step."""
    said = {"user": quoted(str(database.url.username)), "blockers": blockers(database)}
    cures = (cure.format(**said) for cause, cure in _CURES if re.search(cause, complaint))
    return BackupFailed(
        f"The database could not be dumped: {tail(complaint)}", hint=next(cures, None)
    )


def blockers(database: DatabaseUrl) -> str:
    """Say who holds a table alone just now, or waits to."""
    with connect(database) as connection, connection.begin():
        return ", ".join(connection.scalars(_BLOCKERS)) or "somebody"
