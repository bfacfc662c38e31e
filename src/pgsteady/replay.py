"""What a project's revisions make: they are run on an empty database of our own.

A private server makes and drops whatever a revision asks for, as superuser: other schemas,
extensions, indexes built concurrently, blocks in autocommit. A scratch schema beside the
live data could do none of that, and takes longer than the quarter of a second in which
such a server starts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from alembic.runtime.environment import EnvironmentContext
from sqlalchemy import Connection, text

from pgsteady import catalog
from pgsteady.catalog import Catalog, quoted
from pgsteady.connection import connect
from pgsteady.errors import ReplayFailed
from pgsteady.live import read_project
from pgsteady.project import Project, quiet
from pgsteady.server import BUNDLED_MAJORS, SUPERUSER, Cluster, private_server, url_of
from pgsteady.status import ancestors
from pgsteady.url import DatabaseUrl


@dataclass(frozen=True)
class Surroundings:
    """What a database's revisions find there, and did not make."""

    major: int = BUNDLED_MAJORS[-1]
    search_path: str = '"$user", public'
    default_schema: str = "public"
    roles: tuple[str, ...] = ()
    tablespaces: tuple[str, ...] = ()
    schemas: tuple[str, ...] = ()
    extensions: tuple[tuple[str, str], ...] = ()
    """Name and schema of each."""

    @classmethod
    def of(cls, connection: Connection) -> Surroundings:
        """Read the surroundings of the database of ``connection``."""
        row = connection.execute(
            text(
                "SELECT current_setting('server_version_num')::int / 10000, "
                "current_setting('search_path'), "
                "array(SELECT rolname::text FROM pg_roles WHERE rolname !~ '^pg_'), "
                "array(SELECT spcname::text FROM pg_tablespace WHERE spcname !~ '^pg_'), "
                "array(SELECT ARRAY[x.extname, n.nspname]::text[] FROM pg_extension x "
                "JOIN pg_namespace n ON n.oid = x.extnamespace WHERE nspname <> 'pg_catalog')"
            )
        ).one()
        return cls(
            major=row[0],
            search_path=row[1],
            default_schema=catalog.default_schema(connection),
            roles=tuple(row[2]),
            tablespaces=tuple(row[3]),
            schemas=tuple(catalog.project_schemas(connection)),
            extensions=tuple((name, schema) for name, schema in row[4]),
        )


def replay(project: Project, revisions: Sequence[str], surroundings: Surroundings) -> Catalog:
    """Return the catalog that the project's history up to ``revisions`` makes.

    Raises:
        ReplayFailed: a revision does not run on an empty database here.
        ClusterError: no private server can be had.
    """
    with replayed(project, revisions, surroundings) as database:
        return catalog_of(project, database, surroundings)


def catalog_of(project: Project, database: DatabaseUrl, surroundings: Surroundings) -> Catalog:
    """Return the project's catalog as a database of a private server has it."""
    with connect(database) as connection, connection.begin():
        return read_project(project, connection, surroundings.default_schema, SUPERUSER)


@contextmanager
def replayed(
    project: Project, revisions: Sequence[str], surroundings: Surroundings
) -> Iterator[DatabaseUrl]:
    """Lend a database in which the project's history ran, up to ``revisions``.

    Raises:
        ReplayFailed: a revision does not run on an empty database here.
        ClusterError: no private server can be had.
    """
    with private_server(surroundings.major) as cluster:
        with cluster.session() as cursor:
            for role in set(surroundings.roles) - {SUPERUSER}:
                cursor.execute(f"CREATE ROLE {quoted(role)}")
            cursor.execute("SET allow_in_place_tablespaces = on")  # in the server's own folder
            for tablespace in surroundings.tablespaces:
                cursor.execute(f"CREATE TABLESPACE {quoted(tablespace)} LOCATION ''")
        yield _replayed(project, revisions, surroundings, cluster)


def _replayed(
    project: Project, revisions: Sequence[str], surroundings: Surroundings, cluster: Cluster
) -> DatabaseUrl:
    try:
        return _run(project, revisions, surroundings, cluster, "bare")
    except ReplayFailed as bare:
        # Perhaps an administrator, or env.py itself, made what the revisions build on.
        try:
            return _run(project, revisions, surroundings, cluster, "furnished")
        except ReplayFailed as furnished:
            further = max(bare, furnished, key=lambda failure: failure.applied)
            raise further from further.__cause__


def replay_each(project: Project, surroundings: Surroundings) -> Iterator[tuple[str, Catalog]]:
    """Yield each revision of the project, from the base on, and the catalog that it makes.

    Raises:
        ReplayFailed: a revision does not run on an empty database here.
        ClusterError: no private server can be had.
    """
    with private_server(surroundings.major) as cluster:
        applied: dict[str, set[str]] = {}
        """What each database has."""
        for script in reversed(list(project.script.walk_revisions())):
            needed = ancestors(project, [script.revision])
            fitting = (name for name, has in applied.items() if has | {script.revision} == needed)
            database = next(fitting, None)
            if database is None:
                database = f"branch_{len(applied)}"
                _create(cluster, database, surroundings)
            applied[database] = needed
            with connect(url_of(cluster, database)) as connection:
                upgrade(project, connection, [script.revision])
                with connection.begin():
                    default = surroundings.default_schema
                    yield script.revision, read_project(project, connection, default, SUPERUSER)


def _run(
    project: Project,
    revisions: Sequence[str],
    surroundings: Surroundings,
    cluster: Cluster,
    database: str,
) -> DatabaseUrl:
    _create(cluster, database, surroundings)
    url = url_of(cluster, database)
    with connect(url) as connection:
        if database == "furnished":
            _furnish(connection, surroundings)
        if revisions:
            upgrade(project, connection, revisions)
    return url


def _create(cluster: Cluster, database: str, surroundings: Surroundings) -> None:
    path = surroundings.search_path or "''"
    with cluster.session() as cursor:
        cursor.execute(f"CREATE DATABASE {database} TEMPLATE template0")
        cursor.execute(f"ALTER DATABASE {database} SET search_path TO {path}")


def upgrade(project: Project, connection: Connection, revisions: Sequence[str]) -> None:
    """Run the project's revisions up to ``revisions`` on a database of our own.

    Raises:
        ReplayFailed: one of them failed; the message says which, and why.
    """
    begun: list[str] = []

    def steps(current: Any, _context: Any) -> Iterator[Any]:
        for step in project.script._upgrade_revs(tuple(revisions), current):  # type: ignore[arg-type]
            begun.append(step.revision.revision)
            yield step

    environment = EnvironmentContext(
        project.config, project.script, fn=steps, destination_rev=",".join(revisions)
    )
    with environment, quiet():
        try:
            environment.configure(
                connection=connection,
                target_metadata=project.options.get("target_metadata"),
                transaction_per_migration=True,
                version_table=project.version_table,
                version_table_schema=project.version_table_schema,
            )
            with environment.begin_transaction():
                environment.run_migrations()
        except Exception as error:  # revisions are the user's: anything may come out of them
            cause = getattr(error, "orig", None) or error
            raise ReplayFailed(
                f"{begun[-1] if begun else 'the history'} does not run on an empty database: "
                f"{str(cause).strip().splitlines()[0] if str(cause) else type(cause).__name__}",
                applied=len(begun) - 1,
            ) from error


def _furnish(connection: Connection, surroundings: Surroundings) -> None:
    with connection.begin():
        for schema in surroundings.schemas:
            connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
    available = text("SELECT count(*) FROM pg_available_extensions WHERE name = :name")
    for name, schema in surroundings.extensions:
        with connection.begin():
            if connection.scalar(available, {"name": name}):
                connection.exec_driver_sql(
                    f"CREATE EXTENSION IF NOT EXISTS {quoted(name)} SCHEMA {quoted(schema)}"
                )
