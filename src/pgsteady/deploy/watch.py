"""What the database's other users feel, before, during and after a change.

Only what the database itself knows: who waits for a lock, how many transactions are rolled
back, which queries run long.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from pgsteady.connection import connect
from pgsteady.doctor.activity import without_literals
from pgsteady.errors import EnvironmentFault
from pgsteady.url import DatabaseUrl

SAMPLE_S = 0.5
RATE_OVER_S = 5.0
"""A rate is taken over so long, so that one rollback is no peak."""
SLOWEST = 3

BEFORE, DURING, AFTER = "before", "during", "after"

_BLOCKED = text(
    "SELECT count(DISTINCT l.pid), "
    "coalesce(max(extract(epoch FROM clock_timestamp() - l.waitstart)), 0)::float8 "
    "FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted "
    "AND l.locktype <> 'advisory' AND a.datname = current_database() AND a.pid <> ALL(:ours)"
)
_COUNTERS = text(
    "SELECT xact_commit, xact_rollback, deadlocks FROM pg_stat_database "
    "WHERE datname = current_database()"
)
_RUNNING = text(
    "SELECT extract(epoch FROM clock_timestamp() - query_start)::float8, usename, query "
    "FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' "
    "AND application_name <> 'pgsteady' AND pid <> ALL(:ours) AND query_start IS NOT NULL "
    "ORDER BY 1 DESC LIMIT :slowest"
)

_HIDDEN = text(
    "SELECT format('GRANT pg_read_all_stats TO %I;', current_user) FROM pg_stat_activity "
    "WHERE datname = current_database() AND usename IS NOT NULL "
    "AND query = '<insufficient privilege>' LIMIT 1"
)


@dataclass(frozen=True)
class Limits:
    """What others may feel at most; None for no limit.

    ``blocked`` sessions at once, the seconds that one of them waits, and transactions
    rolled back in a second.
    """

    blocked: int | None = None
    blocked_for_s: float | None = None
    rollbacks_per_s: float | None = None


@dataclass
class Phase:
    """What was seen in one phase: the worst of each, and the slowest queries."""

    samples: int = 0
    seconds: float = 0
    blocked: int = 0
    blocked_for_s: float = 0
    rollbacks_per_s: float = 0
    commits_per_s: float = 0
    deadlocks: int = 0
    slowest: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return it as a document."""
        return asdict(self)

    def slow(self, query: str, seconds: float) -> None:
        """Remember a query that has run so long, if it is among the slowest."""
        self.slowest[query] = max(seconds, self.slowest.get(query, 0))
        longest = sorted(self.slowest.items(), key=lambda item: -item[1])[:SLOWEST]
        self.slowest = dict(longest)


@dataclass(frozen=True)
class _Counters:
    at_s: float
    commits: int
    rollbacks: int
    deadlocks: int


class Watch:
    """Samples the database in a thread, on a connection of its own.

    ``ours`` are the sessions of the migration at each moment: they are not others.
    ``exceeded`` says which limits were, ``broken`` why it could not go on, and ``grant``
    is the SQL by which queries of other roles would be shown, where there were any.
    """

    def __init__(self, limits: Limits, ours: Collection[int]) -> None:
        self._limits = limits
        self._ours = ours
        self._ended = threading.Event()
        self._phase = BEFORE
        self._began_s = time.monotonic()
        self._recent: deque[_Counters] = deque()
        self.phases = {BEFORE: Phase()}
        self.exceeded: dict[str, str] = {}
        self.broken: str | None = None
        self.grant: str | None = None

    def begin(self, phase: str) -> None:
        """Count what is sampled from now on to ``phase``."""
        self._close()
        self.phases[phase] = Phase()
        self._recent = deque()
        self._phase = phase

    def as_json(self) -> dict[str, Any]:
        """Return what was seen as a document."""
        return {
            "phases": {name: phase.as_json() for name, phase in self.phases.items()},
            "exceeded": list(self.exceeded.values()),
            "broken": self.broken,
            "grant": self.grant,
        }

    @contextmanager
    def on(self, database: DatabaseUrl) -> Iterator[None]:
        """Watch ``database`` as long as the block lasts."""
        thread = threading.Thread(target=self._sample_all, args=(database,), name="watch")
        thread.start()
        try:
            yield
        finally:
            self._close()
            self._ended.set()
            thread.join()

    def _close(self) -> None:
        """Say how long the phase lasted, or was watched if the watch broke."""
        now_s = time.monotonic()
        if self.broken is None:
            self.phases[self._phase].seconds = now_s - self._began_s
        self._began_s = now_s

    def _sample_all(self, database: DatabaseUrl) -> None:
        try:
            with connect(database) as connection:
                connection.execution_options(isolation_level="AUTOCOMMIT")
                connection.exec_driver_sql("SET statement_timeout = '5s'")
                self._sample(connection)
                while not self._ended.is_set():
                    self._ended.wait(SAMPLE_S)
                    self._sample(connection)
        except (DBAPIError, EnvironmentFault) as error:
            self._close()
            self.broken = str(error).splitlines()[0]

    def _sample(self, connection: Connection) -> None:
        phase = self.phases[self._phase]
        ours = list(self._ours)
        blocked, longest_s = connection.execute(_BLOCKED, {"ours": ours}).one()
        self._count(phase, _Counters(time.monotonic(), *connection.execute(_COUNTERS).one()))
        phase.samples += 1
        phase.blocked = max(phase.blocked, blocked)
        phase.blocked_for_s = max(phase.blocked_for_s, longest_s)
        for seconds, user, query in connection.execute(
            _RUNNING, {"ours": ours, "slowest": SLOWEST}
        ):
            phase.slow(f"{user}: {without_literals(query)}", seconds)
        self.grant = self.grant or connection.scalar(_HIDDEN)
        if self._phase != BEFORE:
            self._judge(phase)

    def _count(self, phase: Phase, now: _Counters) -> None:
        """Take rates over the last seconds of the phase."""
        recent = self._recent
        if recent:
            phase.deadlocks += now.deadlocks - recent[-1].deadlocks
        recent.append(now)
        while len(recent) > 2 and now.at_s - recent[1].at_s > RATE_OVER_S:
            recent.popleft()
        over_s = max(now.at_s - recent[0].at_s, RATE_OVER_S)
        phase.rollbacks_per_s = max(
            phase.rollbacks_per_s, (now.rollbacks - recent[0].rollbacks) / over_s
        )
        phase.commits_per_s = max(phase.commits_per_s, (now.commits - recent[0].commits) / over_s)

    def _judge(self, phase: Phase) -> None:
        limits = self._limits
        for seen, limit, what in (
            (phase.blocked, limits.blocked, "sessions were blocked at once"),
            (phase.blocked_for_s, limits.blocked_for_s, "s was one session blocked"),
            (phase.rollbacks_per_s, limits.rollbacks_per_s, "transactions a second rolled back"),
        ):
            if limit is not None and seen > limit:
                self.exceeded[what] = f"{seen:.3g} {what}; the limit is {limit:g}"
