"""The sessions in which a revision works, and whether they keep it in one transaction."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event

from pgsteady.lock import OF_LOCK, limit_waits

QUESTIONS = {"SELECT", "SHOW", "SET", "EXPLAIN"}
ENDS = {"COMMIT", "END"}


class Sessions:
    """The sessions that one thread opens through SQLAlchemy, whatever the driver.

    ``pids`` are their server processes. ``committed`` tells whether a part of what they
    did can no longer be rolled back: one worked outside of transactions, or went on after
    it had committed something. ``lock_timeout_s`` limits their waits for locks; None where
    ``env.py`` sees to that.
    """

    def __init__(self, lock_timeout_s: float | None, pids: set[int]) -> None:
        self.pids = pids
        self.committed = False
        self._lock_timeout_s = lock_timeout_s
        self._thread = 0
        self._changed: set[Connection] = set()
        self._ended: set[Connection] = set()

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note the sessions that this thread uses in the block."""
        self._thread = threading.get_ident()
        listeners: dict[str, Callable[..., None]] = {
            "begin": self._begun,
            "before_cursor_execute": self._sent,
            "commit": self._committing,
            "rollback": self._changed.discard,
        }
        with ExitStack() as listening:
            for name, listener in listeners.items():
                event.listen(Engine, name, listener)
                listening.callback(event.remove, Engine, name, listener)
            yield

    def _is_ours(self, connection: Connection) -> bool:
        ours = threading.get_ident() == self._thread
        return ours and OF_LOCK not in connection.get_execution_options()

    def _begun(self, connection: Connection) -> None:
        if not self._is_ours(connection):
            return
        raw: Any = connection.connection.dbapi_connection
        self.pids.add(_pid(connection.connection.driver_connection))
        self.committed |= raw.autocommit or connection in self._ended
        if self._lock_timeout_s is not None:
            limit_waits(connection, self._lock_timeout_s)

    def _sent(self, connection: Connection, _cursor: Any, sql: str, *_: Any) -> None:
        if self._is_ours(connection):
            command = sql.replace(";", " ").split(maxsplit=1)[:1]
            self.committed |= bool(ENDS.intersection(map(str.upper, command)))
            if not QUESTIONS.intersection(map(str.upper, command)):
                self._changed.add(connection)

    def _committing(self, connection: Connection) -> None:
        if connection in self._changed:
            self._ended.add(connection)


def _pid(driver: Any) -> int:
    """Return the server process of a connection of asyncpg, psycopg or psycopg2."""
    if hasattr(driver, "get_server_pid"):
        return int(driver.get_server_pid())
    return int(driver.info.backend_pid)
