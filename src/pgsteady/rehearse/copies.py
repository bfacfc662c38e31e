"""On what is rehearsed: a copy of the live database, as the role that will migrate that one."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, text

from pgsteady.backup import Backup, proved, restored
from pgsteady.backup.copies import schema_of
from pgsteady.catalog import quoted
from pgsteady.connection import connect
from pgsteady.errors import RehearsalFailed
from pgsteady.progress import Progress
from pgsteady.project import Project
from pgsteady.rehearse.physical import physical_copy
from pgsteady.status import current_revisions
from pgsteady.url import DatabaseUrl, parse

_MIGRATOR = text("""
    SELECT r.rolname::text AS name, r.rolsuper AS super, current_setting('search_path') AS path,
        concat_ws(' ',
            CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END,
            CASE WHEN r.rolcreatedb THEN 'CREATEDB' END,
            CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END) AS attributes,
        array(SELECT o.rolname::text FROM pg_roles o
            WHERE o.oid <> r.oid AND o.rolname <> 'pg_database_owner'
            AND pg_has_role(r.oid, o.oid, 'MEMBER')) AS member_of,
        pg_get_userbyid(d.datdba)::text AS database_owner,
        has_database_privilege(current_database(), 'CREATE') AS may_create
    FROM pg_roles r, pg_database d
    WHERE r.rolname = current_user AND d.datname = current_database()
""")
_ROLES = text("SELECT rolname::text FROM pg_roles")
_IN_RECOVERY = text("SELECT pg_is_in_recovery()")
_KEY_BITS = 62
"""Of a number for an advisory lock that nobody else has."""


@dataclass(frozen=True)
class Copy:
    """A copy to rehearse on.

    ``database`` is it as a role that may read and restore everything, ``migrator`` as the
    role that will migrate the live one. ``words`` say what it is, ``backup`` where the backup
    lies that it was restored from.
    """

    database: DatabaseUrl
    migrator: DatabaseUrl
    words: str
    backup: Path | None = None


@dataclass(frozen=True)
class Choice:
    """What the copy is to be made of: a fresh backup, unless one of these is named."""

    backup: Path | None = None
    on: str | None = None
    physical: bool = False


@contextmanager
def copy_for(
    project: Project, choice: Choice, *, limit_s: float | None, progress: Progress
) -> Iterator[Copy]:
    """Provide the copy as long as the block lasts; what we made goes with it.

    ``limit_s`` bounds each statement of the migrator.

    Raises:
        RehearsalFailed: what was chosen is no copy of the live database.
        PgSteadyError: the backup could not be made, or not be restored.
    """
    source = project.database()
    staging = parse(choice.on, "--on") if choice.on else None
    if staging:
        _require_another(source, staging)
        if not _in_recovery(staging):
            yield _checked(project, _of_staging(staging, limit_s))
            return
        source = staging
    if choice.physical:
        with physical_copy(source, progress) as database:
            words = f"a physical copy of the server at {source.address}"
            yield _checked(project, _of_ours(project, database, words, None, limit_s))
    elif choice.backup:
        backup = Backup(choice.backup)
        with restored(backup, project, progress=progress) as database:
            yield _checked(project, _of_backup(project, backup, database, limit_s))
    else:
        origin = _reading(project, source) if staging else project
        with proved(origin, progress=progress) as (backup, database):
            yield _checked(project, _of_backup(project, backup, database, limit_s))


def _of_backup(
    project: Project, backup: Backup, database: DatabaseUrl, limit_s: float | None
) -> Copy:
    made_at = backup.manifest.made_at
    words = f"the backup of {made_at:%Y-%m-%d %H:%M %Z}, restored and compared with what it is of"
    return _of_ours(project, database, words, backup.folder, limit_s)


def _of_ours(
    project: Project, database: DatabaseUrl, words: str, backup: Path | None, limit_s: float | None
) -> Copy:
    """Let the live role have on a server of ours what it has on the live one, and no more."""
    with connect(project.database()) as live, live.begin():
        migrator = live.execute(_MIGRATOR).one()
    with connect(database) as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        if not migrator.super:
            _enroll(connection, quoted(str(database.url.database)), migrator)
        connection.exec_driver_sql("ANALYZE")  # a dump has no statistics
    settings = {"search_path": migrator.path} | _limited(limit_s)
    if not migrator.super:
        settings["role"] = migrator.name
    path = migrator.path.replace('"$user"', quoted(migrator.name))
    return Copy(
        _with_settings(database, {"search_path": path}),
        _with_settings(database, settings),
        words,
        backup,
    )


def _enroll(connection: Connection, database: str, migrator: Row[Any]) -> None:
    """Give a role of that name the same attributes, memberships and rights on the database."""
    known = set(connection.scalars(_ROLES))
    name, owner = quoted(migrator.name), migrator.database_owner
    if migrator.name not in known:
        connection.exec_driver_sql(f"CREATE ROLE {name}")
    if migrator.attributes:
        connection.exec_driver_sql(f"ALTER ROLE {name} {migrator.attributes}")
    for role in known & set(migrator.member_of):
        connection.exec_driver_sql(f"GRANT {quoted(role)} TO {name}")
    if owner in known:
        connection.exec_driver_sql(f"ALTER DATABASE {database} OWNER TO {quoted(owner)}")
    if migrator.may_create:
        connection.exec_driver_sql(f"GRANT CREATE ON DATABASE {database} TO {name}")


def _of_staging(staging: DatabaseUrl, limit_s: float | None) -> Copy:
    words = f"the database {staging.url.database} at {staging.address}, which keeps the change"
    return Copy(staging, _with_settings(staging, _limited(limit_s)), words)


def _limited(limit_s: float | None) -> dict[str, str]:
    return {"statement_timeout": f"{limit_s * 1000:.0f}"} if limit_s else {}


def _with_settings(database: DatabaseUrl, settings: dict[str, str]) -> DatabaseUrl:
    """Return the URL with server settings, as libpq's ``options`` takes them."""
    given = str(database.url.query.get("options", ""))
    added = " ".join(
        "-c " + re.sub(r"([\\\s])", r"\\\1", f"{name}={value}") for name, value in settings.items()
    )
    options = f"{given} {added}".strip()
    if not options:
        return database
    return replace(database, url=database.url.update_query_dict({"options": options}))


def _checked(project: Project, copy: Copy) -> Copy:
    """Return ``copy`` if the live database has its revisions and its schema.

    Raises:
        RehearsalFailed: it has not.
    """
    revisions, schemas = [], []
    for database in (project.database(), copy.database):
        with connect(database) as connection, connection.begin():
            revisions.append(current_revisions(project, connection))
            schemas.append(schema_of(project, connection))
    if revisions[0] != revisions[1]:
        raise RehearsalFailed(
            f"The copy has {', '.join(revisions[1]) or 'no revision'}, the live database "
            f"{', '.join(revisions[0]) or 'none'}.",
            hint="Rehearse on a copy of the database as it is now; without --backup and --on one "
            "is made.",
        )
    one, other = schemas
    if unlike := sorted(n for n in one.keys() | other.keys() if one.get(n) != other.get(n)):
        raise RehearsalFailed(
            f"The copy has another schema than the live database: {', '.join(unlike)}.",
            hint="Rehearse on a copy of the database as it is now.",
        )
    return copy


def _require_another(live: DatabaseUrl, other: DatabaseUrl) -> None:
    """Refuse the live database under another address.

    A lock tells: identifiers of the system and the database are those of a clone, too.
    """
    key = {"key": secrets.randbits(_KEY_BITS)}
    with connect(live) as one, connect(other) as two, one.begin(), two.begin():
        one.execute(text("SELECT pg_advisory_xact_lock(:key)"), key)
        if _locked_out(two, key):
            raise RehearsalFailed(
                "--on names the live database itself.", hint="Name a copy of it, or leave it out."
            )


def _locked_out(connection: Connection, key: dict[str, int]) -> bool:
    return not connection.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), key)


def _in_recovery(database: DatabaseUrl) -> bool:
    with connect(database) as connection, connection.begin():
        return bool(connection.scalar(_IN_RECOVERY))


def _reading(project: Project, replica: DatabaseUrl) -> Project:
    """Return the project as if ``replica`` were its database."""
    url = replica.url.render_as_string(hide_password=False)
    return replace(project, options=dict(project.options) | {"connection": None, "url": url})
