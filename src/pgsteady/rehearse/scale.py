"""From the times on a copy to the times to expect on the live server, and on what basis."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from pgsteady.rehearse.sizes import Rooms, readable, rooms

PAGES = 8192
"""The most that is read to compare the servers: 64 MB."""
ENOUGH_BYTES = 2**20
"""A smaller table is read too fast to tell servers apart."""
ROUNDS = 3

_LIMITS = text(
    "SELECT set_config('transaction_read_only', 'on', true), "
    "set_config('statement_timeout', '5s', true), set_config('lock_timeout', '1s', true), "
    "set_config('max_parallel_workers_per_gather', '0', true)"
)


@dataclass(frozen=True)
class Basis:
    """How times are scaled: by the speed of both servers, and by the size of the tables.

    ``factor`` is how much slower the live server is, ``ratios`` how much larger its tables
    are, ``ratio`` its whole database. ``words`` say where these come from.
    """

    factor: float = 1
    ratio: float = 1
    ratios: dict[str, float] = field(default_factory=dict)
    words: tuple[str, ...] = ()

    def live_ms(self, ms: float, relations: Iterable[str]) -> float:
        """Return the time to expect for what took ``ms`` on the copy and worked on these."""
        larger = [self.ratios[name] for name in relations if name in self.ratios]
        return ms * self.factor * max(larger, default=self.ratio)


def basis(live: Connection, copy: Connection, of_copy: Rooms) -> Basis:
    """Compare the speed of two servers and the size of what they hold.

    On the live one at most 64 MB of one table are read, three times, each within 5 s.
    """
    try:
        with live.begin():
            live.execute(_LIMITS)
            of_live = rooms(live)
    except DBAPIError as error:
        said = f"The live tables could not be measured, times are as on the copy: {error.orig}"
        return Basis(words=(" ".join(said.split()),))
    shared = of_live.keys() & of_copy.keys()
    tables = [name for name in shared if not of_live[name].is_index]
    ratios = {
        name: max(1.0, of_live[name].bytes / of_copy[name].bytes)
        for name in tables
        if of_copy[name].bytes
    }
    whole, copied = (sum(room.bytes for room in one.values()) for one in (of_live, of_copy))
    ratio = max(1.0, whole / copied) if copied else 1.0
    factor, words = _factor(live, copy, of_live, of_copy, tables)
    return Basis(
        factor,
        ratio,
        ratios,
        (
            f"The live database takes {readable(whole)}, the copy {readable(copied)}. Time is "
            "taken to grow as the statement's largest table (index builds grow a little faster).",
            words,
        ),
    )


def _factor(
    live: Connection, copy: Connection, of_live: Rooms, of_copy: Rooms, tables: list[str]
) -> tuple[float, str]:
    """Return how much slower the live server reads, and how that is known."""
    for table in sorted(tables, key=lambda name: -of_live[name].bytes):
        if min(of_live[table].bytes, of_copy[table].bytes) < ENOUGH_BYTES:
            break
        here, there = _ms_per_row(live, table), _ms_per_row(copy, table)
        if here and there:
            return max(1.0, here / there), (
                f"Reading the same part of {table} took {here / there:.2f} times as long on the "
                "live server as on the copy's; times are multiplied by that, never by less than 1."
            )
    return 1.0, (
        "The speed of the two servers was not compared: no table that this role may read has "
        f"{readable(ENOUGH_BYTES)}."
    )


def _ms_per_row(connection: Connection, table: str) -> float | None:
    """Return the best of some times to read the beginning of a table, None if it cannot be."""
    read = text(f"SELECT count(*) FROM ONLY {table} WHERE ctid < '({PAGES},0)'")  # noqa: S608
    taken = []
    try:
        with connection.begin():
            connection.execute(_LIMITS)
            for _ in range(ROUNDS):
                began_s = time.monotonic()
                rows = connection.scalar(read) or 0
                taken.append((time.monotonic() - began_s) * 1000 / max(rows, 1))
    except DBAPIError:  # too slow, locked, or not ours to read: then nothing is known
        return None
    return min(taken)
