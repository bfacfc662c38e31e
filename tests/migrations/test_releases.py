"""A filled database of every revision there ever was: it goes to head, keeps its data, and back."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path

import alembic.command
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from pgsteady import backup, verify
from pgsteady.connection import connect
from pgsteady.declarations import Change, declared
from pgsteady.drift import check
from pgsteady.project import Project
from pgsteady.status import ancestors
from pgsteady.url import DatabaseUrl, parse
from pgsteady.verify import Evidence

INI = Path(__file__).parents[2] / "alembic.ini"
CONFIG = Config(INI, stdout=io.StringIO())
RELEASES = Path(__file__).parent / "releases"
REVISIONS = [s.revision for s in ScriptDirectory.from_config(CONFIG).walk_revisions()]


def test_every_revision_has_a_filled_database() -> None:
    """``make release`` records the one of a new revision."""
    assert sorted(file.stem for file in RELEASES.glob("*.dump")) == sorted(REVISIONS)


@pytest.mark.parametrize("major", [pytest.param(16, marks=pytest.mark.slow), 18])
@pytest.mark.parametrize(
    "revision",
    [
        REVISIONS[0],
        *(pytest.param(one, marks=pytest.mark.slow) for one in REVISIONS[1:-1]),
        REVISIONS[-1],
    ],
)
def test_release_goes_to_head_and_back(
    revision: str,
    major: int,
    fresh_database: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    url = fresh_database(major)
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("PGSTEADY_BACKUPS", str(tmp_path))  # of steps that destroy rows
    database, project = parse(url, "the test"), Project.load(INI)
    backup.load(database, RELEASES / f"{revision}.dump")
    later = set(REVISIONS) - ancestors(project, [revision])
    changes = declared(project, sorted(later)).changes

    before, known = evidence(project, database, changes), examined(project, database)
    assert sum(before.rows.values()) > 500
    alembic.command.upgrade(CONFIG, "head")
    after = evidence(project, database)
    assert not verify.compare(before, after)
    assert not check(project).findings
    assert not examined(project, database)

    alembic.command.downgrade(CONFIG, revision)
    back = evidence(project, database)
    assert not [f for f in verify.compare(before, back) if f.object not in named(changes)]
    assert examined(project, database) == known
    alembic.command.upgrade(CONFIG, "head")
    assert not verify.compare(after, evidence(project, database))


def named(changes: Iterable[Change]) -> set[str]:
    """Return the columns and tables that they change, as a finding names them."""
    rules = [rule for change in changes for rule in change.rules]
    return {f"{'column' if '.' in rule else 'table'} public.{rule}" for rule in rules}


def evidence(
    project: Project, database: DatabaseUrl, changes: Iterable[Change] | None = None
) -> Evidence:
    with connect(database) as connection, connection.begin():
        return verify.take(connection, project, changes=changes)


def examined(project: Project, database: DatabaseUrl) -> list[object]:
    with connect(database) as connection, connection.begin():
        return list(verify.examine(connection, project))
