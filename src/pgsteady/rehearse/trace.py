"""What each statement of a revision does to others: locks, rewrites, indexes, time.

The statements are watched where SQLAlchemy sends them. What a statement has locked is read
through a second connection, which sees of the catalog only what others see too: a table
that the transaction itself makes is in nobody's way.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2
from sqlalchemy import Connection, event

from pgsteady.connection import connect
from pgsteady.rehearse import known
from pgsteady.url import DatabaseUrl

POLL_S = 0.002
"""Between two looks at the locks of a statement that commits by itself."""
SURELY_SEEN_MS = 10 * 1000 * POLL_S
"""A lock that a longer statement of that kind keeps does not escape the looks."""
OBSERVER_TIMEOUT_MS = 1000
"""A revision may lock the catalog itself; then its locks cannot be read until it ends."""

_LOCKS = """
    SELECT format('%%I.%%I', n.nspname, c.relname), replace(l.mode, 'Lock', '')
    FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE l.pid = %s AND l.granted AND l.locktype = 'relation' AND l.mode <> 'AccessShareLock'
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND c.relkind <> 'i' AND c.relname <> %s
    AND n.nspname !~ '^(pg_|information_schema$|pgsteady$)'
"""
_FILES = """
    SELECT c.oid, c.relfilenode, format('%%I.%%I', n.nspname, c.relname), c.relkind = 'i'
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_index i ON i.indexrelid = c.oid LEFT JOIN pg_class t ON t.oid = i.indrelid
    WHERE c.relkind IN ('r', 'm', 'i') AND coalesce(t.relname, c.relname) <> %s
    AND n.nspname !~ '^(pg_|information_schema$|pgsteady$)'
"""
_WAL = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"
_MOVES_NO_FILE = re.compile(r"\s*(INSERT|UPDATE|DELETE|MERGE|SET|COMMENT)\b", re.IGNORECASE)

MODES = {
    "ROW SHARE": "reads and writes go on",
    "ROW EXCLUSIVE": "reads and writes go on; who changes the same rows waits",
    "SHARE UPDATE EXCLUSIVE": "reads and writes go on; VACUUM and other schema changes wait",
    "SHARE": "reads go on; every write waits",
    "SHARE ROW EXCLUSIVE": "reads go on; every write waits",
    "EXCLUSIVE": "plain reads go on; every write and SELECT FOR UPDATE waits",
    "ACCESS EXCLUSIVE": "nobody can read or write",
}
"""What a lock means to others, from the weakest to the strongest mode.

https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES
"""
STOPS_WRITES = {"SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"}


@dataclass
class Lock:
    """A lock on a relation that others use too, from its statement to the transaction's end."""

    relation: str
    mode: str
    held_ms: float = 0

    @property
    def stops_writes(self) -> bool:
        """Whether others cannot write to the relation, or not even read it."""
        return self.mode in STOPS_WRITES

    @property
    def strength(self) -> int:
        """Where its mode stands among the modes, from weak to strong."""
        return list(MODES).index(self.mode)


@dataclass
class Statement:
    """One statement of a revision, as often as it was sent in a row.

    ``began_ms`` counts from the beginning of the run. ``rewritten`` names the tables that
    others know and that got a new file; ``built`` the indexes that were made or made anew.
    ``alone`` is a statement in no transaction, ``committed`` one whose work lasted; ``under``
    is the strongest lock that an earlier statement keeps meanwhile.
    """

    sql: str
    place: str
    began_ms: float
    ms: float = 0
    times: int = 1
    rows: int = 0
    wal_bytes: int = 0
    alone: bool = False
    committed: bool = False
    error: str = ""
    under: Lock | None = None
    locks: list[Lock] = field(default_factory=list)
    rewritten: list[str] = field(default_factory=list)
    built: list[str] = field(default_factory=list)

    @property
    def unseen(self) -> bool:
        """Whether it may have had locks that were gone before anybody looked."""
        return self.alone and not self.locks and self.ms < SURELY_SEEN_MS

    @property
    def strongest(self) -> Lock | None:
        """The strongest lock that others meet while it runs."""
        found = [*self.locks, *([self.under] if self.under else [])]
        return max(found, key=lambda lock: lock.strength, default=None)


class _File(NamedTuple):
    """Where a relation is stored, and what it is called."""

    node: int
    name: str
    is_index: bool


class Tracer:
    """Watches the statements that revisions send through ``connection``."""

    def __init__(self, connection: Connection, observer: Connection, version_table: str) -> None:
        self._raw: Any = connection.connection.dbapi_connection
        self._observer: Any = observer.connection.dbapi_connection
        self._version_table = version_table
        self._began_s = time.monotonic()
        self._statements: list[Statement] = []
        self._current: Statement | None = None
        self._open: list[tuple[Lock, float]] = []
        self._uncommitted: list[Statement] = []
        # Through the observer: a revision may begin with SET TRANSACTION.
        self._files = self._read_files(self._observer)
        self._known = set(self._files)
        [(self._wal,)] = self._query(self._observer, _WAL)
        self._sampler: _Sampler | None = None
        self._expected: list[Lock] = []
        for name, listener in (
            ("before_cursor_execute", self._before),
            ("after_cursor_execute", self._after),
            ("begin", lambda _connection: self._release()),
            ("commit", self._committing),
            ("rollback", self._rolled_back),
        ):
            event.listen(connection, name, listener)

    @property
    def now_ms(self) -> float:
        """Time since the run began."""
        return (time.monotonic() - self._began_s) * 1000

    def taken(self) -> list[Statement]:
        """Return the statements since the last call."""
        found, self._statements = self._statements, []
        return found

    def finish(self, failure: str) -> None:
        """Close what is open: the run has ended, with ``failure`` unless that is empty."""
        self._forget_the_failed(failure)
        self._release()

    def _forget_the_failed(self, failure: str) -> None:
        """Close a statement that did not come to its end."""
        if self._sampler:
            self._sampler.stop()
            self._sampler = None
        if self._current is not None:
            self._current.ms += (time.monotonic() - self._sent_s) * 1000
            self._current.error = failure
        self._current = None

    def _before(
        self, _connection: Connection, _cursor: Any, sql: str, _parameters: Any, *_: Any
    ) -> None:
        place = _place()
        if place is None:  # Alembic's own
            return
        sql = sql.replace("%%", "%")  # the driver's way of writing one
        self._forget_the_failed("it failed, and the revision went on")
        last = self._statements[-1] if self._statements else None
        if last and (last.sql, last.place, last.alone) == (sql, place, self._raw.autocommit):
            last.times += 1
        else:
            last = Statement(sql, place, self.now_ms, alone=self._raw.autocommit)
            self._statements.append(last)
        self._current = last
        if last.alone:
            self._expected = self._implied(sql)
            self._sampler = _Sampler(self._read_locks)
        self._sent_s = time.monotonic()

    def _after(self, _connection: Connection, cursor: Any, *_: Any) -> None:
        statement, self._current = self._current, None
        if statement is None:
            return
        statement.ms += (time.monotonic() - self._sent_s) * 1000
        statement.rows += max(cursor.rowcount, 0)
        self._note_locks(statement)
        if not _MOVES_NO_FILE.match(statement.sql):
            self._note_files(statement)
        [(wal,)] = self._query(self._raw, _WAL)
        statement.wal_bytes += wal - self._wal
        self._wal = wal

    def _note_locks(self, statement: Statement) -> None:
        if self._sampler:
            self._sampler.stop()
            found, self._sampler = self._sampler.found or self._expected, None
            statement.committed = True
        elif statement.times == 1:
            found = self._read_locks()
            self._uncommitted.append(statement)
        else:
            return
        earlier = sorted((lock for lock, _ in self._open), key=lambda lock: lock.strength)
        statement.under = earlier[-1] if earlier else None
        held = {lock.relation: lock.strength for lock in (*earlier, *statement.locks)}
        strongest = {lock.relation: lock for lock in sorted(found, key=lambda one: one.strength)}
        for relation, lock in sorted(strongest.items()):
            if lock.strength <= held.get(relation, -1):
                continue
            lock.held_ms = statement.ms
            statement.locks.append(lock)
            if not statement.alone:
                self._open.append((lock, statement.began_ms))

    def _note_files(self, statement: Statement) -> None:
        before, self._files = self._files, self._read_files(self._raw)
        for oid, file in self._files.items():
            if oid in before and before[oid].node == file.node:
                continue
            if file.is_index:
                statement.built.append(file.name)
            elif oid in self._known:
                statement.rewritten.append(file.name)

    def _committing(self, _connection: Connection) -> None:
        for statement in self._uncommitted:
            statement.committed = True
        self._uncommitted = []

    def _rolled_back(self, _connection: Connection) -> None:
        self._uncommitted = []

    def _release(self) -> None:
        """Note how long the locks of the transaction before were held."""
        for lock, since_ms in self._open:
            lock.held_ms = self.now_ms - since_ms
        self._open = []
        self._known |= set(self._files)

    def _read_files(self, raw: Any) -> dict[int, _File]:
        return {
            oid: _File(node, name, is_index)
            for oid, node, name, is_index in self._query(raw, _FILES, self._version_table)
        }

    def _read_locks(self) -> list[Lock]:
        """Return what is locked that others see, but for indexes and Alembic's own table."""
        try:
            pid = self._raw.info.backend_pid
            rows = self._query(self._observer, _LOCKS, pid, self._version_table)
        except psycopg2.Error:  # it took too long, or the server is gone, which others tell
            return []
        return [
            Lock(name, re.sub(r"(?<=[a-z])(?=[A-Z])", " ", mode).upper()) for name, mode in rows
        ]

    def _implied(self, sql: str) -> list[Lock]:
        """Return the lock that ``sql`` is known to take, if it is of such a kind."""
        name = known.named(sql)
        try:
            rows = self._query(self._observer, known.TABLE, name) if name else []
        except psycopg2.Error:  # as above
            return []
        return [Lock(table, known.MODE) for (table,) in rows]

    @staticmethod
    def _query(raw: Any, sql: str, *parameters: Any) -> list[Any]:
        with raw.cursor() as cursor:
            cursor.execute(sql, parameters or None)
            found: list[Any] = cursor.fetchall()
        return found


class _Sampler:
    """Looks for locks again and again, as those of such a statement are gone when it ends."""

    def __init__(self, look: Callable[[], list[Lock]]) -> None:
        self.found: list[Lock] = []
        self._look = look
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.is_set():
            self.found += self._look()
            self._ended.wait(POLL_S)


@contextmanager
def observer(database: DatabaseUrl) -> Iterator[Connection]:
    """Open the connection through which locks are read."""
    with connect(database) as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.exec_driver_sql(f"SET statement_timeout = {OBSERVER_TIMEOUT_MS}")
        yield connection


def _place() -> str | None:
    """Name the file and line of the revision that sends a statement now."""
    frame = sys._getframe(2)
    while frame is not None:
        names = frame.f_globals
        if "down_revision" in names and "revision" in names:
            return f"{Path(names['__file__']).name}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return None
