"""A healthy project, migrated by plain ``alembic``, for a test to injure."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from examined import MODELS, Examined

from pgsteady.doctor import examine
from toy import Project

UPGRADE = (
    'op.execute("CREATE EXTENSION IF NOT EXISTS vector")\n'
    '    op.execute("CREATE TABLE a (id serial, v vector(3), CONSTRAINT pk_a PRIMARY KEY (id))")'
)


@pytest.fixture
def project(project: Project) -> Project:
    """Two revisions, and models that are what they make."""
    project.models(MODELS)
    project.revision("001_a", UPGRADE, 'op.drop_table("a")')
    project.revision(
        "002_b",
        'op.execute("CREATE TABLE b (id serial, CONSTRAINT pk_b PRIMARY KEY (id))")',
        'op.drop_table("b")',
        down="001_a",
    )
    return project


@pytest.fixture
def healthy(project: Project, database: str) -> Project:
    """The project, and its database at head."""
    project.run("upgrade", "head")
    return project


@pytest.fixture
def doctor(project: Project) -> Callable[[], Examined]:
    """Examine the project as it is now."""
    return lambda: Examined(examine(project.ini))
