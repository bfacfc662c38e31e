"""Other people's projects, sync and async, with the ``env.py`` that ``alembic init`` writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import psycopg2
import pytest
from foreign_project import ForeignProject


def found(project: ForeignProject, *, exits: int) -> dict[str, list[str]]:
    """Return the codes of what each examination found."""
    document = json.loads(project.run("pgsteady", "doctor", "--json", exits=exits))
    return {
        examination["name"]: [finding["code"] for finding in examination["findings"]]
        for examination in document["examinations"]
        if examination["findings"]
    }


@pytest.mark.parametrize("major", [pytest.param(16, marks=pytest.mark.slow), 18])
@pytest.mark.parametrize("name", ["shop", "lab"])
def test_foreign_project(
    name: str, major: int, tmp_path: Path, fresh_database: Callable[..., str]
) -> None:
    url = fresh_database(major)
    project = ForeignProject(name, tmp_path, url)
    assert found(project, exits=1) == {"revision": ["not-migrated"]}
    project.run("alembic", "upgrade", "head")
    assert found(project, exits=0) == {}
    assert "Nothing is recorded" in project.run("pgsteady", "audit", "--verify")


def test_a_lost_version_table(tmp_path: Path, fresh_database: Callable[..., str]) -> None:
    url = fresh_database()
    project = ForeignProject("shop", tmp_path, url)
    project.run("pgsteady", "catalog")
    project.run("alembic", "upgrade", "head")
    with psycopg2.connect(url) as connection:
        connection.cursor().execute("DELETE FROM alembic_version")
    connection.close()
    said = project.run("pgsteady", "doctor", exits=1)
    stamp = next(line.strip() for line in said.splitlines() if "alembic stamp" in line)
    project.run("alembic", *stamp.split()[1:3])
    project.run("alembic", "upgrade", "head")
    assert found(project, exits=0) == {}


UNREADABLE = {
    "a bare % in the ini": ("%%25a", "%a", "Write it twice: %%"),
    "a port that is no number": ("127.0.0.1:", "127.0.0.1:x", "Write postgresql://"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_an_unreadable_url_is_not_repeated(
    case: str, tmp_path: Path, fresh_database: Callable[..., str]
) -> None:
    project = ForeignProject("shop", tmp_path, fresh_database())
    old, new, cure = UNREADABLE[case]
    text = project.ini.read_text()
    assert old in text
    project.ini.write_text(text.replace(old, new))
    said = project.run("pgsteady", "doctor", exits=3)
    assert cure in said
    assert "d%3Fe" not in said


def test_an_env_that_repeats_its_url(tmp_path: Path, fresh_database: Callable[..., str]) -> None:
    url = fresh_database()
    project = ForeignProject("shop", tmp_path, url)
    (tmp_path / "models.py").write_text(f"raise RuntimeError('no way to {url}')")
    said = project.run("pgsteady", "doctor", exits=3)
    assert "RuntimeError: no way to postgresql://***@127.0.0.1" in said
