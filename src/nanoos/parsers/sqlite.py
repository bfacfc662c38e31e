"""SQLite databases from strangers, opened for reading only and trusted with nothing.

No function, view or trigger of their own runs, and no other file is opened for them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from nanoos.errors import ParseError

MAGIC = b"SQLite format 3\0"
"""What such a file begins with."""
MAX_VALUE_BYTES = 64 * 1024**2
"""Of one column of one row."""


@contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the file for reading, with all that it could make SQLite do switched off.

    Raises ParseError, also within the context, where it is damaged or does what it may not.
    """
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"
    with _damage_told(), closing(sqlite3.connect(uri, uri=True)) as opened:
        opened.text_factory = lambda data: data.decode(errors="replace")
        opened.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
        opened.execute("PRAGMA trusted_schema = OFF")
        opened.execute("PRAGMA query_only = ON")
        opened.execute("PRAGMA mmap_size = 0")
        opened.execute("PRAGMA cell_size_check = ON")
        opened.set_authorizer(_allowed)
        yield opened


@contextmanager
def _damage_told() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter of a name in the schema
        raise ParseError(f"The database cannot be read further: {error}.") from error


def _allowed(action: int, *names: str | None) -> int:
    """Let SQLite read, and nothing else; the last name is the view or trigger that wants to."""
    reads = action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ) and names[-1] is None
    return sqlite3.SQLITE_OK if reads else sqlite3.SQLITE_DENY
