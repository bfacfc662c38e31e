"""Where a database stands in the project's history, branches included."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from pgsteady.cli.app import app
from toy import Project


def test_pending_revisions_are_told_in_their_order(project: Project, database: str) -> None:
    project.revision("001_a")
    project.revision("002_b", down="001_a")
    project.revision("003_c", down="001_a")
    project.run("upgrade", "002_b")
    code, status = told(project)
    assert code == 1
    assert status["current"] == ["002_b"]
    assert status["heads"] == ["002_b", "003_c"]
    assert status["pending"] == [{"id": "003_c", "title": "003_c"}]
    project.run("upgrade", "heads")
    code, status = told(project)
    assert (code, status["current"], status["pending"]) == (0, ["002_b", "003_c"], [])
    assert status["drift"] is False


def test_an_empty_database_has_everything_pending(project: Project, database: str) -> None:
    project.revision("001_a")
    project.revision("002_b", down="001_a")
    code, status = told(project)
    assert (code, status["current"], status["unknown"]) == (1, [], [])
    assert [revision["id"] for revision in status["pending"]] == ["001_a", "002_b"]


def told(project: Project) -> tuple[int, dict[str, object]]:
    command = ["-c", str(project.ini), "status", "--json"]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    return done.exit_code, json.loads(done.stdout)
