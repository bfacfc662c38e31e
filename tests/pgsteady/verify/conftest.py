"""Filled databases, each test's own: clones of one that is filled once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from content import FILL, MODELS, SCHEMA
from toy import Project as Toy

from pgsteady.backup.files import load
from pgsteady.connection import connect
from pgsteady.declarations import declared
from pgsteady.finding import Finding
from pgsteady.project import Project
from pgsteady.url import parse
from pgsteady.verify import Evidence, compare, examine, take

ROOT = Path(__file__).parents[3]
RELEASE = ROOT / "tests" / "migrations" / "releases" / "001_initial_schema.dump"


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


@pytest.fixture(scope="session")
def museums(
    external_server: Callable[[int], Any], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int], Template]:
    """Return the toy project's database of a major version, with a bit of everything."""
    made: dict[int, Template] = {}

    def template(major: int) -> Template:
        if major not in made:
            server = external_server(major)
            toy = Toy(tmp_path_factory.mktemp("museum"))
            toy.models(MODELS)
            toy.revision("001_museum", f"op.execute({SCHEMA!r})")
            name = server.create("museum")
            with pytest.MonkeyPatch.context() as environment:
                environment.setenv("DATABASE_URL", server.url(name))
                toy.run("upgrade", "head")
            run(server.url(name), FILL)
            filled = Filled(server, name, name, Project.load(toy.ini))
            made[major] = Template(filled, filled.take())
        return made[major]

    return template


@pytest.fixture(scope="session")
def platforms(external_server: Callable[[int], Any]) -> Callable[[int], Template]:
    """Return this project's own database of a major version, as a release filled it."""
    made: dict[int, Template] = {}

    def template(major: int) -> Template:
        if major not in made:
            server = external_server(major)
            name = server.create("platform_filled")
            load(parse(server.url(name), "the test"), RELEASE)
            filled = Filled(server, name, name, Project.load(ROOT / "alembic.ini"))
            made[major] = Template(filled, filled.take())
        return made[major]

    return template


@pytest.fixture
def clone() -> Iterator[Callable[[Template], Filled]]:
    """Return a function that clones a template for this test."""
    made: list[Filled] = []

    def cloned(template: Template) -> Filled:
        original = template.filled
        name = f"{original.name}_{len(made)}"
        original.server.drop(name)
        with original.server.cluster.session() as cursor:
            cursor.execute(f'CREATE DATABASE "{name}" OWNER orion TEMPLATE "{original.name}"')
        made.append(Filled(original.server, original.name, name, original.project))
        return made[-1]

    yield cloned
    for filled in made:
        filled.server.drop(filled.name)


@pytest.fixture
def museum(museums: Callable[[int], Template], clone: Callable[[Template], Filled]) -> Filled:
    return clone(museums(18))
