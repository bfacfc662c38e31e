"""A healthy project, migrated by plain ``alembic``, for a test to injure."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from toy import Project

from pgsteady.doctor import Result, examine
from pgsteady.finding import Finding
from servers import PASSWORD

MODELS = """
Table("a", metadata, Column("id", sa.Integer, primary_key=True), Column("v", Vector(3)))
Table("b", metadata, Column("id", sa.Integer, primary_key=True))
"""
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


class Examined:
    """What doctor said of a project."""

    def __init__(self, results: list[Result]) -> None:
        self.results = {result.name: result for result in results}
        assert PASSWORD not in repr(results)

    @property
    def findings(self) -> list[Finding]:
        return [f for result in self.results.values() for f in result.answer.findings]

    @property
    def codes(self) -> list[str]:
        return [finding.code for finding in self.findings]

    def only(self, code: str) -> Finding:
        """Return the one thing found, which must be ``code``."""
        assert self.codes == [code], self.findings
        return self.findings[0]

    def detail(self, name: str) -> str:
        return self.results[name].answer.detail

    def state(self, name: str) -> str:
        return self.results[name].answer.state


@pytest.fixture
def doctor(project: Project) -> Callable[[], Examined]:
    """Examine the project as it is now."""
    return lambda: Examined(examine(project.ini))
