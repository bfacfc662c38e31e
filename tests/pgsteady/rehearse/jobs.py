"""A project of jobs and notes, with rows, and what its revisions do."""

from __future__ import annotations

from collections.abc import Callable

from pgsteady.rehearse import Rehearsal

Rehearse = Callable[..., Rehearsal]
"""As :func:`pgsteady.rehearse.rehearse`, without its first argument."""

ROWS = 5000
_TABLES = (
    "CREATE TABLE jobs (id bigint PRIMARY KEY, name text NOT NULL, cost integer NOT NULL)",
    "CREATE TABLE notes (id bigint PRIMARY KEY, job bigint NOT NULL)",
)
FIRST = "\n    ".join(f'op.execute("{sql}")' for sql in _TABLES)
FIRST_BACK = 'op.execute("DROP TABLE notes, jobs")'
FILL = (
    f"INSERT INTO jobs SELECT i, 'job ' || i, i FROM generate_series(1, {ROWS}) AS i",
    "INSERT INTO notes SELECT i, i FROM generate_series(1, 100) AS i",
)

ADD = 'op.execute("ALTER TABLE jobs ADD done boolean")'
DROP = 'op.execute("ALTER TABLE jobs DROP done")'
