"""A filled database, what may be done to it, and what is found then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg2

from pgsteady.connection import connect
from pgsteady.declarations import declared
from pgsteady.finding import Finding
from pgsteady.project import Project
from pgsteady.url import parse
from pgsteady.verify import Evidence, compare, examine, take


@dataclass(frozen=True)
class Filled:
    """A filled database of one test, and its project; ``template`` is what it was cloned from."""

    server: Any
    template: str
    name: str
    project: Project

    @property
    def url(self) -> str:
        return self.server.url(self.name)

    def sql(self, statements: str) -> None:
        """Run statements as the administrator, who can break what nobody else can."""
        with self.server.cluster.session(self.name) as cursor:
            cursor.execute(statements)

    @contextmanager
    def snapshot(self, url: str | None = None) -> Iterator[Any]:
        with connect(parse(url or self.url, "the test")) as connection, connection.begin():
            yield connection

    def take(self, **options: Any) -> Evidence:
        pending = options.pop("pending", ())
        with self.snapshot(options.pop("url", None)) as connection:
            changes = declared(self.project, pending).changes
            return take(connection, self.project, changes=changes, **options)

    def examine(self, url: str | None = None) -> list[Finding]:
        with self.snapshot(url) as connection:
            return examine(connection, self.project)

    def against(self, before: Evidence, url: str | None = None) -> list[Finding]:
        return compare(before, self.take(like=before, url=url))


@dataclass(frozen=True)
class Template:
    """A filled database that nobody changes, and the evidence of it."""

    filled: Filled
    evidence: Evidence


def run(url: str, statements: str) -> None:
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute(statements)
    connection.close()
