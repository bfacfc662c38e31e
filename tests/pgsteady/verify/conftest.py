"""Filled databases, each test's own: clones of one that is filled once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from content import FILL, MODELS, SCHEMA
from filled import Filled, Template, run

from pgsteady.backup.files import load
from pgsteady.project import Project
from pgsteady.url import parse
from toy import Project as Toy

ROOT = Path(__file__).parents[3]
NEWEST_RELEASE = max((ROOT / "tests" / "migrations" / "releases").glob("*.dump"))


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
            filled.sql("VACUUM")  # without it the planner prefers no index that has all columns
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
            load(parse(server.url(name), "the test"), NEWEST_RELEASE)
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
