"""Other people's projects, with their own ``env.py``, on each server."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from foreign_project import ForeignProject

from servers import BUNDLED_MAJORS

WAIVED = ("--no-rehearsal", "a test")


def revision(project: ForeignProject, id_: str, down: str, upgrade: str) -> None:
    (project.folder / "migrations" / "versions" / f"{id_}.py").write_text(
        f'"""{id_}"""\nfrom alembic import op\nrevision = {id_!r}\ndown_revision = {down!r}\n'
        f"def upgrade():\n    op.execute({upgrade!r})\ndef downgrade():\n    pass\n"
    )


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSTEADY_BACKUPS", str(tmp_path / "backups"))
    monkeypatch.delenv("DATABASE_URL", raising=False)


@pytest.mark.slow
@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("major", BUNDLED_MAJORS)
def test_a_synchronous_one(fresh_database: Callable[..., str], tmp_path: Path, major: int) -> None:
    """Its second revision works in autocommit and cannot be undone."""
    shop = ForeignProject("shop", tmp_path / "shop", fresh_database(major))
    shop.run("alembic", "upgrade", "001")
    codes = ["--accept-lint=no-lock-timeout"]
    answer = json.loads(shop.run("pgsteady", "upgrade", *WAIVED, *codes, "--json"))
    assert (answer["outcome"], answer["current"]) == ("done", ["002"])
    records = json.loads(shop.run("pgsteady", "audit", "--verify", "--json"))
    assert records["breach"] is None
    told = [(record["command"], record["heads"]) for record in records["records"]]
    assert told == [
        ("outside", ["001"]),
        ("upgrade without rehearsal: a test", ["001"]),
        ("upgrade", ["002"]),
    ]
    shop.run("pgsteady", "doctor")


@pytest.mark.slow
@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("major", BUNDLED_MAJORS)
def test_an_asynchronous_one_with_branches_and_a_blocker(
    fresh_database: Callable[..., str], tmp_path: Path, major: int
) -> None:
    """Its ``env.py`` sets no lock_timeout; here one is, and the blocker is named."""
    url = fresh_database(major)
    lab = ForeignProject("lab", tmp_path / "lab", url)
    lab.run("alembic", "upgrade", "a1")
    answer = json.loads(lab.run("pgsteady", "upgrade", *WAIVED, "--json"))
    assert [step["revision"] for step in answer["steps"]] == ["b2", "b1", "c1"]
    assert (answer["outcome"], answer["current"]) == ("done", ["c1"])

    revision(lab, "d1", "c1", "ALTER TABLE sample ADD COLUMN note text")
    with closing(psycopg2.connect(url, application_name="the blocker")) as blocker:
        blocker.cursor().execute("LOCK TABLE sample IN SHARE MODE")
        answer = json.loads(
            lab.run("pgsteady", "upgrade", *WAIVED, "--patience=1s", "--json", exits=1)
        )
    (attempt,) = answer["steps"][0]["attempts"]
    assert attempt["sqlstate"] == "55P03"
    assert "the blocker, idle in transaction" in attempt["blockers"][0]
    assert answer["left"] == "All that d1 did was rolled back."
    *_, last = json.loads(lab.run("pgsteady", "audit", "--json"))["records"]
    assert (last["outcome"], last["error"], last["heads"]) == ("failed", "55P03", ["c1"])


@pytest.mark.slow
@pytest.mark.usefixtures("alone")
def test_one_that_commits_nothing_is_found_out(
    fresh_database: Callable[..., str], tmp_path: Path
) -> None:
    """SET before ``context.configure`` opens a transaction that Alembic then leaves alone."""
    lab = ForeignProject("shop", tmp_path / "shop", fresh_database())
    lab.run("alembic", "upgrade", "001")
    revision(lab, "001b", "001", "CREATE TABLE never (id int)")
    (lab.folder / "migrations" / "versions" / "002.py").unlink(missing_ok=True)
    for file in (lab.folder / "migrations" / "versions").glob("*.py"):
        if 'revision = "002"' in file.read_text():
            file.unlink()
    env = lab.folder / "migrations" / "env.py"
    env.write_text(
        env.read_text().replace(
            "with connectable.connect() as connection:\n",
            "with connectable.connect() as connection:\n"
            '        connection.exec_driver_sql("SET lock_timeout = 1000")\n',
        )
    )
    answer = json.loads(lab.run("pgsteady", "upgrade", *WAIVED, "--json", exits=1))
    assert "committed nothing" in answer["error"]
    assert (answer["outcome"], answer["current"]) == ("failed", ["001"])
