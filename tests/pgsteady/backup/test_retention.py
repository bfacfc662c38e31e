"""Which backups go: never the newest proved one, and nothing that is not ours."""

from __future__ import annotations

import dataclasses
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orders import Command

from pgsteady.backup import Backup, Proof, Retention, back_up, backup_folder
from pgsteady.project import Project
from toy import Project as Toy

NOW = datetime(2026, 11, 22, tzinfo=UTC)


class _Made:
    """As much of a backup as retention looks at."""

    def __init__(self, days: float, proved: bool) -> None:
        self.manifest = self
        self.made_at = NOW - timedelta(days=days)
        self.proved = proved


@given(
    made=st.lists(st.builds(_Made, st.floats(0, 100), st.booleans()), max_size=12),
    count=st.none() | st.integers(1, 5),
    days=st.none() | st.floats(0, 100),
)
def test_what_is_kept(made: list[_Made], count: int | None, days: float | None) -> None:
    gone = Retention(count, days).outdated(made, NOW)
    newest_first = sorted(made, key=lambda one: one.made_at, reverse=True)
    kept = [one for one in newest_first if one not in gone]
    assert len(gone) + len(kept) == len(made)
    if count is None and days is None:
        assert not gone
    assert count is None or set(newest_first[:count]) <= set(kept)
    assert days is None or all(one.made_at <= NOW - timedelta(days=days) for one in gone)
    proved = [one for one in newest_first if one.proved]
    assert not proved or proved[0] in kept
    assert not gone or len(kept) >= (count or 0), "only as many as must"


@given(
    made=st.lists(st.builds(_Made, st.floats(0, 100), st.booleans()), max_size=12),
    count=st.integers(1, 5),
    days=st.none() | st.floats(0, 100),
    proved=st.booleans(),
)
def test_a_dry_run_foretells(
    made: list[_Made], count: int, days: float | None, proved: bool
) -> None:
    new = _Made(-1, proved)
    foretold = Retention(count, days).outdated(made, NOW, coming=proved)
    assert foretold == Retention(count, days).outdated([*made, new], NOW)


@pytest.fixture
def older(project: Project) -> list[Backup]:
    """Four backups that are older by a day each; the second oldest is proved."""
    first = back_up(project, prove=False)
    folders = []
    for days in range(1, 5):
        copy = Backup(first.folder.with_name(f"day-{days}"))
        shutil.copytree(first.folder, copy.folder)
        made_at = first.manifest.made_at - timedelta(days=days)
        proof = Proof(made_at, "18.4") if days == 3 else None
        copy.write(dataclasses.replace(first.manifest, made_at=made_at, proof=proof))
        folders.append(copy)
    shutil.rmtree(first.folder)
    return folders


def there(toy: Toy) -> set[str]:
    return {path.name for path in backup_folder(toy.ini).iterdir()}


def test_keep_deletes_the_others_but_for_the_newest_proved_one(
    run: Command, toy: Toy, older: list[Backup]
) -> None:
    said = run("backup", "--keep", 1, "--dry-run").out
    assert said.count("Would delete") == 4, "for the new one will be proved"
    assert there(toy) == {"day-1", "day-2", "day-3", "day-4"}
    made = run("backup", "--keep", 2, "--no-proof", "--json").json
    assert [Path(gone).name for gone in made["deleted"]] == ["day-2", "day-4"]
    assert there(toy) == {Path(made["backup"]["folder"]).name, "day-1", "day-3"}
    made = run("backup", "--keep-days", 0.5, "--json").json
    assert there(toy) == {Path(made["backup"]["folder"]).name} | {
        name for name in there(toy) if not name.startswith("day-")
    }


def test_what_is_not_ours_stays(run: Command, toy: Toy, older: list[Backup]) -> None:
    folder = backup_folder(toy.ini)
    (folder / "notes.txt").write_text("mine")
    (folder / "photos").mkdir()
    (folder / "photos" / "manifest.json").write_text("{}")
    other = older[0].manifest
    older[0].write(dataclasses.replace(other, database="another"))
    (older[1].folder / "manifest.json").write_bytes(os.urandom(100))
    run("backup", "--keep", 1)
    assert {"notes.txt", "photos", "day-1", "day-2"} <= there(toy)
    assert not {"day-3", "day-4"} & there(toy)
