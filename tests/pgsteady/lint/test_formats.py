"""The outputs, from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest
from look import Look

from toy import Project as Toy

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(look: Look, toy: Toy) -> Run:
    """Run ``python -m pgsteady lint`` on a revision that drops a column."""
    look("op.drop_column('users', 'name')")

    def lint(*arguments: str, exits: int = 1) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "pgsteady", "lint", *arguments],
            cwd=toy.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == exits, done.stdout + done.stderr
        return done

    return lint


def test_people(run: Run) -> None:
    printed = run("002_next").stdout
    assert "users.name" in printed
    assert "alembic/versions/002_next.py:7" in printed
    assert "1 revision: 1 error" in printed


def test_no_finding_exits_with_0(run: Run) -> None:
    assert "nothing" in run("001_users", exits=0).stdout


def test_wrong_revision_is_wrong_usage(run: Run) -> None:
    assert "nonsense" in run("nonsense", exits=2).stderr


def test_json(run: Run) -> None:
    document = json.loads(run("002_next", "--json").stdout)
    (found,) = document["findings"]
    assert document["revisions"] == ["002_next"]
    assert found["code"] == "drop-column"
    assert (found["file"], found["line"]) == ("alembic/versions/002_next.py", 7)


def test_sarif(run: Run) -> None:
    document = json.loads(run("002_next", "--format", "sarif").stdout)
    assert document["version"] == "2.1.0"
    (sarif,) = document["runs"]
    (result,) = sarif["results"]
    assert sarif["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "alembic/versions/002_next.py"
    assert place["region"]["startLine"] == 7
    assert result["level"] == "error"


def test_github(run: Run) -> None:
    line = run("002_next", "--format", "github").stdout.strip()
    assert line.startswith(
        "::error file=alembic/versions/002_next.py,line=7,title=drop-column::users.name: "
    )
    assert "\n" not in line


def test_gitlab(run: Run) -> None:
    (entry,) = json.loads(run("002_next", "--format", "gitlab").stdout)
    assert entry["check_name"] == "drop-column"
    assert entry["location"] == {"path": "alembic/versions/002_next.py", "lines": {"begin": 7}}
    assert len(entry["fingerprint"]) == 64
