"""Who keeps a revision waiting."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, text

from pgsteady.doctor.activity import without_literals

_BLOCKERS = text(
    "SELECT DISTINCT blocker.pid, a.usename, a.application_name, a.state, "
    "extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS transaction_s, "
    "extract(epoch FROM clock_timestamp() - a.query_start)::float8 AS query_s, a.query, "
    "(SELECT min(l.relation::regclass::text) FROM pg_locks l "
    "WHERE l.pid = ours.pid AND NOT l.granted) AS relation "
    "FROM pg_stat_activity ours CROSS JOIN LATERAL unnest(pg_blocking_pids(ours.pid)) "
    "AS blocker (pid) LEFT JOIN pg_stat_activity a ON a.pid = blocker.pid "
    "WHERE ours.pid = ANY(:pids) AND ours.wait_event_type = 'Lock' ORDER BY 1"
)
_PREPARED = 0
"""What pg_blocking_pids says for a prepared transaction, which no session has."""


@dataclass(frozen=True)
class Blocker:
    """A session that holds, or is queued before us for, a lock on ``relation``.

    What this role may not see of it is None; ``query`` has no literals.
    """

    pid: int
    user: str | None
    application: str | None
    state: str | None
    transaction_s: float | None
    query_s: float | None
    query: str
    relation: str | None

    def __str__(self) -> str:
        where = f" (for {self.relation})" if self.relation else ""
        if self.pid == _PREPARED:
            return f"a prepared transaction{where}; `doctor` names it"
        said = [f"user {self.user}", self.application or "no application name"]
        if self.state is None:
            return f"pid {self.pid}{where}: {said[0]}; the rest is not shown to this role"
        said.append(self.state)
        if self.transaction_s is not None:
            said.append(f"transaction {self.transaction_s:.1f} s old")
        if self.query_s is not None:
            said.append(f"last query begun {self.query_s:.1f} s ago")
        return f"pid {self.pid}{where}: {', '.join(said)}: {self.query or 'no query yet'}"


def blockers(connection: Connection, pids: Collection[int]) -> list[Blocker]:
    """Return who keeps the sessions ``pids`` waiting for a lock now."""
    if not pids:
        return []
    rows = connection.execute(_BLOCKERS, {"pids": list(pids)}).all()
    return [
        Blocker(
            pid=row.pid,
            user=row.usename,
            application=row.application_name,
            state=row.state,
            transaction_s=row.transaction_s,
            query_s=row.query_s,
            query="" if row.state is None else without_literals(row.query),
            relation=row.relation,
        )
        for row in rows
        if row.pid not in pids
    ]
