"""Revision ids: ``NNN_slug``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgsteady.revisions import SLUG_LENGTH, slug
from toy import Project


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("add email_verified column to users", "add_email_verified_column_to_users"),
        ("Add index on materials.formula!", "add_index_on_materials_formula"),
        ("größere Zellen", "größere_zellen"),
        ("rename old_name to new_name in many tables", "rename_old_name_to_new_name_in_many"),
        ("x" * 50, "x" * 40),
        ("", ""),
    ],
)  # fmt: skip
def test_slug(message: str, expected: str) -> None:
    assert slug(message) == expected


@given(st.text())
def test_a_slug_is_short_and_safe_in_a_file_name(message: str) -> None:
    made = slug(message)
    assert len(made) <= SLUG_LENGTH
    assert not set(made) & set(" /\\.-+@:'\"")
    assert made == slug(made)


def names(project: Project) -> list[str]:
    return sorted(file.stem for file in project.versions.glob("*.py"))


def test_numbers_count_on_and_need_no_database(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://o@127.0.0.1:1/nowhere")
    project.run("revision", message="first")
    project.run("revision", message="migrate old data format")
    project.run("revision")
    project.run("revision", message="own", rev_id="abc123")
    assert names(project) == ["001_first", "002_migrate_old_data_format", "003", "abc123"]
    assert "abc123 (head)" in project.run("heads")
    assert project.run("show", "002").startswith("Rev: 002_migrate_old_data_format")


def test_branches_with_one_number_keep_their_ids_and_merge(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://o@127.0.0.1:1/nowhere")
    project.revision("001_first")
    project.revision("002_ours", down="001_first")
    project.revision("002_theirs", down="001_first")
    project.run("merge", "heads", message="merge", rev_id="003_merge")
    project.run("revision", message="next")
    assert names(project) == ["001_first", "002_ours", "002_theirs", "003_merge", "004_next"]


def test_typed_history_needs_no_database(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://o@127.0.0.1:1/nowhere")
    project.revision("001_first")
    assert "Rev: 001_first (head)" in project.typed("history", "--verbose")
    with pytest.raises(SystemExit):  # it asks for what the database is at
        project.typed("history", "--indicate-current")


def test_history_with_what_the_database_is_at(project: Project, database: str) -> None:
    project.revision("001_first")
    project.revision("002_second", down="001_first")
    project.run("upgrade", "+1")
    assert "001_first (current)" in project.typed("history", "--indicate-current")
    assert "002_second" not in project.typed("history", "-r:current")
