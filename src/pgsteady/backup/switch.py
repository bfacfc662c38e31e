"""The switch from one database to another: by their names, both at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from threading import Event, Thread

from psycopg2.errorcodes import OBJECT_IN_USE
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from pgsteady.backup.databases import elsewhere, exists, renaming
from pgsteady.catalog import quoted
from pgsteady.connection import cause_of, sqlstate
from pgsteady.errors import EnvironmentFault, RestoreFailed
from pgsteady.url import DatabaseUrl

_PAUSE_S = 0.05

# The type is null where the role may not see it; the server's own processes are of no user.
_SESSIONS = text("""
    SELECT pid, usename::text AS role, coalesce(nullif(application_name, ''), 'unnamed') AS program,
           coalesce(host(client_addr), 'local') AS address, coalesce(state, 'unknown') AS state
    FROM pg_stat_activity WHERE datname = :name AND pid <> pg_backend_pid()
    AND usesysid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'
    ORDER BY backend_start
""")
_END = text("""
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = :name AND pid <> pg_backend_pid()
    AND usesysid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'
""")


@dataclass(frozen=True)
class Session:
    """Somebody who is connected to a database."""

    pid: int
    role: str
    program: str
    address: str
    state: str

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.program} of {self.role}, {self.address}, {self.state})"


def sessions(connection: Connection, name: str) -> list[Session]:
    """Return who is connected to a database."""
    return [Session(*row) for row in connection.execute(_SESSIONS, {"name": name})]


def swap(database: DatabaseUrl, new: str, kept: str, *, end_sessions: bool) -> bool:
    """Give the database ``new`` the name of ``database``, which is called ``kept`` from now on.

    Both or neither. While the server renames, it lets nobody in. Returns whether there was
    a database of that name.

    Raises:
        RestoreFailed: somebody is connected to one of them, or the role may not.
    """
    name = str(database.url.database)
    with elsewhere(database) as connection:
        ending = _ending(database, name) if end_sessions else nullcontext()
        try:
            with ending, connection.begin():
                if there := exists(connection, name):
                    connection.exec_driver_sql(renaming(name, kept))
                connection.exec_driver_sql(renaming(new, name))
                return there
        except DBAPIError as error:
            if sqlstate(error) == OBJECT_IN_USE:
                with connection.begin():
                    connected = {each: sessions(connection, each) for each in (new, name)}
                raise in_use(*max(connected.items(), key=lambda one: len(one[1]))) from error
            raise RestoreFailed(
                f"The databases cannot be switched: {cause_of(error)}.",
                hint=f"Whoever may (the owner of both, with CREATEDB) runs: BEGIN; "
                f"{renaming(name, kept)}; {renaming(new, name)}; COMMIT;",
            ) from error


@contextmanager
def _ending(database: DatabaseUrl, name: str) -> Iterator[None]:
    """End the sessions of a database as long as the block lasts.

    Before it renames, PostgreSQL waits for seconds until nobody is connected, and lets
    nobody in meanwhile. To end them before that is not enough: many programs come back
    at once.
    """
    done = Event()

    def go_on() -> None:
        with suppress(DBAPIError, EnvironmentFault), elsewhere(database) as connection:
            while not done.wait(_PAUSE_S):
                with connection.begin():
                    connection.execute(_END, {"name": name})

    with elsewhere(database) as connection:
        try:
            with connection.begin():
                connection.execute(_END, {"name": name})
        except DBAPIError as error:
            raise RestoreFailed(
                f"Whoever is connected to {name} cannot be ended: {cause_of(error)}.",
                hint="An administrator ends them, or runs once: GRANT pg_signal_backend TO "
                f"{quoted(str(database.url.username))};",
            ) from error
    others = Thread(target=go_on)
    others.start()
    try:
        yield
    finally:
        done.set()
        others.join()


def in_use(name: str, connected: list[Session]) -> RestoreFailed:
    """Say who is connected to a database."""
    said = ", ".join(map(str, connected[:5])) + (" …" if len(connected) > 5 else "")
    return RestoreFailed(
        f"The database {name} is in use by {len(connected)}: {said or 'somebody'}.",
        hint="Stop them, or say --end-sessions to end them.",
    )
