"""Who changed the schema: one record for each revision, chained by hashes.

A record's hash covers all it says and the hash of the record before, so that a record
changed, put in or taken out is found; what is cut off the end shows in the version
table, which the last record must agree with. Whoever may write to the table can still
forge the whole chain: keep the last hash elsewhere to notice that too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, text

from pgsteady import state

BEFORE_THE_FIRST = "0" * 64
"""What the first record has for the hash of the one before."""

DONE, FAILED, NOTICED = "done", "failed", "noticed"
OUTSIDE = "outside"
"""The command of a record that tells of a change pgsteady only noticed, afterwards."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One revision applied, undone or stamped, or the attempt.

    ``heads`` is what the version table named afterwards. ``code`` is the project's name
    and version; ``sql_sha256`` is of the SQL as it was sent, each statement ended by a
    zero byte; ``file_sha256`` is of the revision's file. ``error`` is the server's
    error code or the Python exception's class, never its words, which may hold data.
    """

    number: int = 0
    command: str
    from_revisions: list[str]
    to_revisions: list[str]
    heads: list[str]
    outcome: str
    error: str | None = None
    started_at: datetime = datetime.min
    duration_ms: int = 0
    database_user: str = ""
    os_user: str
    host: str
    code: str | None
    git_revision: str | None
    sql_sha256: str | None = None
    file_sha256: str | None = None
    previous_hash: str = ""
    hash: str = ""

    def expected_hash(self) -> str:
        """Return the sha256 of everything the record says: its JSON without ``hash``."""
        said = asdict(self)
        del said["hash"]
        said["started_at"] = self.started_at.astimezone(UTC).isoformat()
        document = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(document.encode()).hexdigest()


@dataclass(frozen=True)
class Breach:
    """The first record that is not as it was written, and what shows it."""

    number: int
    reason: str


_NAMES = [field.name for field in fields(Record)]
_INSERT = text(
    f"INSERT INTO pgsteady.audit ({', '.join(_NAMES)}) "  # noqa: S608 - our own names
    f"VALUES ({', '.join(f':{name}' for name in _NAMES)})"
)
_ALL = text(f"SELECT {', '.join(_NAMES)} FROM pgsteady.audit ORDER BY number")  # noqa: S608
_LAST = text("SELECT number, heads, hash FROM pgsteady.audit ORDER BY number DESC LIMIT 1")
_NOW = text("SELECT session_user, clock_timestamp() - make_interval(secs => :secs)")


def history(connection: Connection) -> list[Record]:
    """Return all records, oldest first; none where pgsteady never changed anything.

    Raises:
        StateUnavailable: the role may not read them.
    """
    if not state.exists(connection):
        return []
    with state.usable(connection):
        return [Record(**row) for row in connection.execute(_ALL).mappings()]


def last_heads(connection: Connection) -> list[str]:
    """Return what the version table named after the last record."""
    last = connection.execute(_LAST).one_or_none()
    return sorted(last.heads) if last else []


def append(connection: Connection, record: Record) -> None:
    """Write ``record`` to the end of the chain, in the transaction of ``connection``.

    Its number, user, time and hashes are filled in. The caller holds the migration
    lock; if two wrote at once after all, the table's keys would refuse the second.
    """
    last = connection.execute(_LAST).one_or_none()
    user, started_at = connection.execute(_NOW, {"secs": record.duration_ms / 1000}).one()
    record = replace(
        record,
        number=last.number + 1 if last else 1,
        previous_hash=last.hash if last else BEFORE_THE_FIRST,
        started_at=started_at,
        database_user=user,
    )
    said: dict[str, Any] = asdict(record)
    connection.execute(_INSERT, said | {"hash": record.expected_hash()})


def breach(records: Iterable[Record], heads: Sequence[str]) -> Breach | None:
    """Return the first record that is not as it was written.

    ``heads`` is what the version table names now; if the last record disagrees, records
    were cut off the end, or the version was changed without pgsteady.
    """
    last: Record | None = None
    for number, record in enumerate(records, 1):
        if record.number != number:
            return Breach(number, "it is missing")
        if record.previous_hash != (last.hash if last else BEFORE_THE_FIRST):
            return Breach(number, "it does not follow the record before it")
        if record.hash != record.expected_hash():
            return Breach(number, "its content is not what its hash was made of")
        last = record
    if last and sorted(last.heads) != sorted(heads):
        return Breach(
            last.number + 1,
            f"it is missing: record {last.number} left the database at {_named(last.heads)}, "
            f"and it is at {_named(heads)}. Records were cut off, or the version was changed "
            "without pgsteady, as a script of `alembic upgrade --sql` does",
        )
    return None


def landed_files(records: Iterable[Record]) -> dict[str, str]:
    """Return the sha256 of the file with which each revision was applied the last time."""
    return {
        record.to_revisions[0]: record.file_sha256
        for record in records
        if record.command == "upgrade" and record.outcome == DONE and record.file_sha256
    }


def _named(revisions: Sequence[str]) -> str:
    return ", ".join(revisions) or "base"
