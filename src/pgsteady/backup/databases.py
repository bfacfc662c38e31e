"""Databases on a server in use: made under a name of their own, then renamed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from pgsteady.backup.files import TABLES
from pgsteady.backup.surroundings import Surroundings
from pgsteady.catalog import quoted
from pgsteady.connection import cause_of, connect
from pgsteady.errors import DatabaseMissing, EnvironmentFault, RestoreFailed
from pgsteady.progress import Progress
from pgsteady.url import DatabaseUrl

UNFINISHED = "pgsteady_unfinished_"
"""How a database is called until it is complete; nobody is connected to one left behind."""
_MAINTENANCE = "postgres"
"""The database that every server has for such work."""
_KEY = int.from_bytes(sha256(b"pgsteady: unfinished databases").digest()[:8], signed=True)
"""Of the advisory lock under which they are made, renamed and removed."""
_SORTING = ("encoding", "collate", "ctype", "provider", "locale")

_LEFT_BEHIND = text("""
    SELECT datname::text FROM pg_database d WHERE starts_with(datname, :prefix)
    AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datid = d.oid)
    AND pg_has_role(d.datdba, 'MEMBER')
""")
_KIND = text("""
    SELECT current_setting('server_encoding'), current_setting('server_version_num')::int / 10000
""")
_COMMENT = text(
    "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = :name"
)
_SORTS_LIKE = text("""
    SELECT pg_encoding_to_char(encoding) = :encoding AND datcollate = :collate
        AND datctype = :ctype AND datlocprovider = :provider
        AND coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale')
            IS NOT DISTINCT FROM :locale
    FROM pg_database d WHERE datname = 'template1'
""")
_PROVIDERS = {
    "b": "LOCALE_PROVIDER builtin BUILTIN_LOCALE",
    "i": "LOCALE_PROVIDER icu ICU_LOCALE",
}


def sibling(database: DatabaseUrl, name: str) -> DatabaseUrl:
    """Return another database of the same server."""
    return replace(database, url=database.url.set(database=name))


@contextmanager
def administration(database: DatabaseUrl) -> Iterator[Connection]:
    """Connect to the server of ``database``, in autocommit; to that database only if need be.

    Raises:
        EnvironmentFault: the server lets this role in nowhere.
    """
    with connect(_entered(database, (_MAINTENANCE, str(database.url.database)))) as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        yield connection


@contextmanager
def elsewhere(database: DatabaseUrl) -> Iterator[Connection]:
    """Connect to the server of ``database``, but not to that database; raises likewise."""
    names = [name for name in (_MAINTENANCE, "template1") if name != database.url.database]
    with connect(_entered(database, names)) as connection:
        yield connection


def _entered(database: DatabaseUrl, names: Sequence[str]) -> DatabaseUrl:
    """Return the first of these databases of the server that lets this role in."""
    failure: EnvironmentFault | None = None
    for name in names:
        try:
            with connect(sibling(database, name)):
                return sibling(database, name)
        except EnvironmentFault as error:
            failure = failure or error
    raise failure or DatabaseMissing()


def exists(connection: Connection, name: str) -> bool:
    """Tell whether the server has a database of that name."""
    found = text("SELECT EXISTS (SELECT FROM pg_database WHERE datname = :name)")
    return bool(connection.scalar(found, {"name": name}))


def comment_on(connection: Connection, name: str) -> str | None:
    """Return the comment on a database."""
    comment: str | None = connection.scalar(_COMMENT, {"name": name})
    return comment


@dataclass(frozen=True)
class Unfinished:
    """A database that goes, unless it is finished."""

    database: DatabaseUrl
    _administration: Connection
    _held: ExitStack

    def finish(self, name: str, comment: str) -> DatabaseUrl:
        """Give it its name, and a comment."""
        with _alone(self._administration):
            self._held.close()
            held_as = quoted(str(self.database.url.database))
            self._administration.exec_driver_sql(
                f"COMMENT ON DATABASE {held_as} IS {literal(comment)}"
            )
            self._administration.exec_driver_sql(renaming(str(self.database.url.database), name))
        return sibling(self.database, name)


@contextmanager
def unfinished(server: DatabaseUrl, surroundings: Surroundings) -> Iterator[Unfinished]:
    """Make an empty database; those that killed runs left behind are removed.

    Raises:
        RestoreFailed: the role may not make databases, or not one that sorts like that.
    """
    name = f"{UNFINISHED}{secrets.token_hex(4)}"
    made = sibling(server, name)
    with administration(server) as connection, ExitStack() as held:
        with _alone(connection):
            _remove_left_behind(connection)
            _create(connection, name, surroundings, server)
            held.enter_context(connect(made))  # so that it is not taken for left behind
        try:
            yield Unfinished(made, connection, held)
        finally:
            held.close()
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def remove_left_behind(server: DatabaseUrl) -> list[str]:
    """Drop the databases of killed runs, and return their names."""
    with administration(server) as connection, _alone(connection):
        return _remove_left_behind(connection)


def _remove_left_behind(connection: Connection) -> list[str]:
    found = list(connection.scalars(_LEFT_BEHIND, {"prefix": UNFINISHED}))
    for name in found:
        connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}")
    return found


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Keep other runs from removing what has nobody connected to it just now."""
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _KEY})
    try:
        yield
    finally:
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _KEY})


def _create(
    connection: Connection, name: str, surroundings: Surroundings, server: DatabaseUrl
) -> None:
    """Make an empty database that sorts as the backed up one did.

    A copy of template1 where that does, for there administrators put what new databases
    are to have, such as extensions.
    """
    like = {field: getattr(surroundings, field) for field in _SORTING}
    options = "" if connection.scalar(_SORTS_LIKE, like) else _sorting(surroundings)
    try:
        connection.exec_driver_sql(f"CREATE DATABASE {name}{options}")
    except DBAPIError as error:
        user = quoted(str(server.url.username))
        raise RestoreFailed(
            f"No new database can be made at {server.address}: {cause_of(error)}.",
            hint=f"An administrator runs once: ALTER ROLE {user} CREATEDB;  Or makes an empty "
            f"database for it, CREATE DATABASE … OWNER {user}; to restore --into its URL.",
        ) from error


def _sorting(surroundings: Surroundings) -> str:
    provided = _PROVIDERS.get(surroundings.provider, "LOCALE_PROVIDER libc")
    locale = f" {literal(surroundings.locale)}" if surroundings.provider in _PROVIDERS else ""
    return (
        f" TEMPLATE template0 ENCODING {literal(surroundings.encoding)} {provided}{locale} "
        f"LC_COLLATE {literal(surroundings.collate)} LC_CTYPE {literal(surroundings.ctype)}"
    )


def literal(value: str | None) -> str:
    """Return a text as SQL writes it."""
    return "'" + str(value or "").replace("'", "''") + "'"


def arrange(database: DatabaseUrl, surroundings: Surroundings, progress: Progress) -> None:
    """Give a new database the settings and privileges that the backed up one had.

    What the role may not give, or the server has not, is said.
    """
    name = quoted(str(database.url.database))
    with elsewhere(database) as connection:
        for setting in surroundings.settings:
            whose = f"ROLE {quoted(setting.role)} IN DATABASE" if setting.role else "DATABASE"
            said = f"ALTER {whose} {name} SET {quoted(setting.name)} FROM CURRENT"
            value = {"name": setting.name, "value": setting.value}
            with _said(progress, f"{setting.name} = {setting.value}"), connection.begin():
                # FROM CURRENT, for some settings are lists and are quoted otherwise.
                connection.execute(text("SELECT set_config(:name, :value, true)"), value)
                connection.exec_driver_sql(said)
        if surroundings.grants is not None:
            with _said(progress, "REVOKE ALL … FROM PUBLIC"), connection.begin():
                connection.exec_driver_sql(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
        for grant in surroundings.grants or ():
            to = quoted(grant.role) or "PUBLIC"
            said = f"GRANT {grant.privilege} ON DATABASE {name} TO {to}"
            with _said(progress, said), connection.begin():
                connection.exec_driver_sql(said)


@contextmanager
def _said(progress: Progress, what: str) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        progress.note(f"Not as it was: {what}: {cause_of(error)}.")


def analyze(database: DatabaseUrl, progress: Progress) -> None:
    """Gather the statistics by which queries are planned; a dump holds none."""
    with progress.step("Analyze"), connect(database) as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("ANALYZE")


def require_fit(database: DatabaseUrl, surroundings: Surroundings) -> None:
    """Refuse a database that holds something already, or cannot hold what was backed up.

    Raises:
        RestoreFailed: it is no database to restore into.
    """
    name = database.url.database
    with connect(database) as connection, connection.begin():
        tables = connection.scalars(text(TABLES)).all()
        encoding, major = connection.execute(_KIND).one()
    if tables:
        named = ", ".join(tables[:5]) + (" …" if len(tables) > 5 else "")
        raise RestoreFailed(
            f"The database {name} has tables already: {named}.", hint="Restore into an empty one."
        )
    if encoding != surroundings.encoding:
        raise RestoreFailed(
            f"The database {name} keeps text as {encoding}, the backup as {surroundings.encoding}.",
            hint=f"Make it anew with ENCODING '{surroundings.encoding}' TEMPLATE template0.",
        )
    if major < surroundings.major:
        raise RestoreFailed(
            f"The backup is of PostgreSQL {surroundings.major}, the server is {major}: an older "
            "server cannot read what a newer one wrote."
        )


def renaming(name: str, to: str) -> str:
    """Return the statement that renames a database."""
    return f"ALTER DATABASE {quoted(name)} RENAME TO {quoted(to)}"
