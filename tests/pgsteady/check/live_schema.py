"""A project's live, filled schema, and what it should be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine

from pgsteady.catalog import Catalog
from pgsteady.drift import compared_with_models, compared_with_revisions, invalid_of_the_application
from pgsteady.judgement import SchemaFinding
from pgsteady.live import read_live
from pgsteady.project import Project
from pgsteady.replay import Surroundings, replay
from pgsteady.scope import Scope
from pgsteady.scratch import built
from pgsteady.status import current_revisions
from pgsteady.url import parse


@dataclass(frozen=True)
class Live:
    """A project's live database, in one transaction of an administrator."""

    project: Project
    connection: Connection
    role: str
    revisions: Catalog
    models: Catalog

    @contextmanager
    def changed(self, sql: str) -> Iterator[None]:
        """Change the database for as long as the block lasts; by default as its own role."""
        with self.connection.begin() as transaction:
            if sql.startswith("{admin}"):
                self.execute(sql.removeprefix("{admin}"))
                self.execute(f"SET ROLE {self.role}")
            else:
                self.execute(f"SET ROLE {self.role}")
                self.execute(sql)
            yield
            transaction.rollback()

    def execute(self, sql: str) -> None:
        self.connection.exec_driver_sql(sql.replace("%", "%%"))

    def against_revisions(self) -> list[SchemaFinding]:
        scope, live = (
            Scope(self.project, "public"),
            read_live(self.project, self.connection, "public"),
        )
        found = compared_with_revisions(self.connection, scope, live, self.revisions)
        return [*found, *invalid_of_the_application(scope, live)]

    def against_models(self) -> list[SchemaFinding]:
        scope, live = (
            Scope(self.project, "public"),
            read_live(self.project, self.connection, "public"),
        )
        return compared_with_models(self.connection, scope, live, self.models)


def live_schema(server: Any, ini: Path, url: str, fill: str) -> Live:
    project = Project.load(ini)
    database = parse(url, "the test")
    admin = database.url.set(
        drivername="postgresql+psycopg2", username="postgres", password=server.cluster.password
    )
    connection = create_engine(admin, isolation_level="READ COMMITTED").connect()
    with connection.begin():
        connection.exec_driver_sql(f"SET LOCAL ROLE {database.url.username}")
        connection.exec_driver_sql(fill.replace("%", "%%"))
        revisions = replay(
            project, current_revisions(project, connection), Surroundings.of(connection)
        )
    with connection.begin() as transaction:
        models = built(connection, project.metadata, "public")
        transaction.rollback()
    return Live(project, connection, str(database.url.username), revisions, models)
