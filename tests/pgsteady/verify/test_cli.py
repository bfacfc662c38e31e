"""``verify`` as it is typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filled import Filled, run
from foreign_project import TEMPLATES, ForeignProject

from toy import Project as Toy

Typed = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def typed(museum: Filled, tmp_path: Path) -> Typed:
    """Type ``verify`` in the museum's project."""

    def command(*arguments: str, exits: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "pgsteady", "-c", museum.project.ini, "verify", *arguments],
            cwd=tmp_path,
            env=os.environ | {"DATABASE_URL": museum.url},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == exits, done.stdout + done.stderr
        return done

    return command


def test_everything_holds(typed: Typed, museum: Filled) -> None:
    assert typed().stdout == "Everything holds.\n"
    museum.sql("SELECT setval('orders_id_seq', 5)")
    done = typed("--json", exits=1)
    (finding,) = json.loads(done.stdout)["findings"]
    assert (finding["code"], finding["object"]) == (
        "sequence-behind",
        "sequence public.orders_id_seq",
    )
    assert done.stderr == ""


def test_saved_and_compared(typed: Typed, museum: Filled, tmp_path: Path) -> None:
    assert "before.json: " in typed("--save", "before.json").stdout
    assert "all data is as it was" in typed("--against", "before.json").stdout
    museum.sql("UPDATE archive.log SET times = times + 1")
    assert "column archive.log.times" in typed("--against", "before.json", exits=1).stdout
    assert [file.name for file in tmp_path.iterdir()] == ["before.json"]


def test_full_disk_leaves_the_file_as_it_was(museum: Filled, tmp_path: Path) -> None:
    """The shell's limit on the size of files stands for a disk without room."""
    (tmp_path / "before.json").write_text("of yesterday")
    command = [sys.executable, "-m", "pgsteady", "-c", str(museum.project.ini), "verify"]
    failed = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -f 4; "$0" "$@"', *command, "--save", "before.json"],
        cwd=tmp_path,
        env=os.environ | {"DATABASE_URL": museum.url, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode == 1
    assert "before.json could not be written: File too large." in failed.stderr
    assert "Traceback" not in failed.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["before.json"]
    assert (tmp_path / "before.json").read_text() == "of yesterday"


def test_empty_database(database: str, project: Toy) -> None:
    assert "Everything holds." in _run(project).stdout
    assert "0 tables" in _run(project, "--save", str(project.folder / "none.json")).stdout


def test_evidence_holds_no_data(typed: Typed, tmp_path: Path) -> None:
    typed("--save", "before.json")
    saved = (tmp_path / "before.json").read_text()
    assert "Ada" not in saved
    assert "example.org" not in saved.replace("p7@example.org", ""), "but for the hot query's own"
    assert (tmp_path / "before.json").stat().st_mode & 0o077 == 0


def test_declared_changes_of_pending_revisions(database: str, project: Toy, sql: Any) -> None:
    project.revision(
        "001_t", "op.execute('CREATE TABLE t AS SELECT n FROM generate_series(1, 9) n')"
    )
    project.revision("002_t", "op.execute('UPDATE t SET n = n * 2')", down="001_t")
    file = project.versions / "002_t.py"
    file.write_text(file.read_text() + "changes = {'t.n': 'n * 2'}\n")
    project.run("upgrade", "001_t")
    saved = project.folder / "before.json"
    assert _run(project, "--save", str(saved)).returncode == 0
    assert _run(project, "--against", str(saved)).returncode == 0
    project.run("upgrade", "head")
    assert _run(project, "--against", str(saved)).returncode == 0
    sql("UPDATE t SET n = 0 WHERE n = 4")
    assert "[not-as-declared]" in _run(project, "--against", str(saved)).stdout
    before = saved.read_text()
    file.write_text(file.read_text().replace("n * 2'}", "wrong'}"))
    project.run("downgrade", "001_t")
    failed = _run(project, "--save", str(saved))
    assert (failed.returncode, saved.read_text()) == (2, before), "the file is as it was"
    assert "002_t" in failed.stderr
    assert "Traceback" not in failed.stderr


def _run(project: Toy, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pgsteady", "-c", project.ini, "verify", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "exits", "said"),
    [
        (["--save", "a", "--against", "b"], 2, ""),
        (["--against", "missing.json"], 2, "missing.json"),
        (["--against", "alembic.ini"], 2, "is not JSON"),
        (["--against", "other.json"], 2, "verify --save FILE"),
        (["--against", "cut.json"], 2, "damaged"),
        (["--save", "missing/before.json"], 1, "cannot be written"),
    ],
)
def test_wrong_files(
    typed: Typed, tmp_path: Path, arguments: list[str], exits: int, said: str
) -> None:
    (tmp_path / "alembic.ini").write_text("[alembic]")
    (tmp_path / "other.json").write_text("{}")
    (tmp_path / "cut.json").write_text('{"format": 1, "tables": {}}')
    (tmp_path / "b").touch()
    failed = typed(*arguments, exits=exits)
    assert said in failed.stderr
    assert "Traceback" not in failed.stderr


@pytest.mark.slow
@pytest.mark.parametrize("major", [16, 18])
@pytest.mark.parametrize("name", TEMPLATES)
def test_foreign_project(
    name: str, major: int, fresh_database: Callable[..., str], tmp_path: Path
) -> None:
    """Somebody else's env.py, synchronous and asynchronous, as a role that is no superuser."""
    url = fresh_database(major)
    foreign = ForeignProject(name, tmp_path, url)
    foreign.run("alembic", "upgrade", "heads")
    foreign.run("pgsteady", "verify", "--save", "before.json")
    foreign.run("pgsteady", "verify", "--against", "before.json")
    table = {
        "shop": "customers (email, name) VALUES ('a', 'b')",
        "lab": "sample (label, phases, embedding) VALUES ('a', '{}', '[1,2,3]')",
    }
    run(url, f"INSERT INTO {table[name]}")
    assert "[extra-rows]" in foreign.run("pgsteady", "verify", "--against", "before.json", exits=1)
