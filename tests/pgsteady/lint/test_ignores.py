"""Findings that somebody has decided to live with."""

from __future__ import annotations

import pytest
from look import Look, codes

from pgsteady.lint import lint
from pgsteady.project import Project
from toy import Project as Toy

DROP = "op.drop_column('users', 'name')"


@pytest.mark.parametrize(
    "upgrade",
    [
        f"{DROP}  # pgsteady: ignore[drop-column] unread",
        f"# pgsteady: ignore[drop-column] nothing reads it\n    {DROP}",
        f"# pgsteady: ignore[drop-table, drop-column] nothing reads it\n    {DROP}",
        "op.drop_column('users',\n        'name')  # pgsteady: ignore[drop-column] unread",
    ],
)
def test_comment_beside_the_statement(look: Look, upgrade: str) -> None:
    assert not look(upgrade)


def test_comment_for_the_file(look: Look) -> None:
    assert not look(DROP, above="# pgsteady: ignore[drop-column] nothing reads it\n")


def test_comment_is_for_its_statement_only(look: Look) -> None:
    upgrade = f"{DROP}  # pgsteady: ignore[drop-column] unread\n    op.drop_column('users', 'id')"
    found = [one.object for one in look(upgrade) if one.code == "drop-column"]
    assert found == ["users.id"]


def test_without_reason_it_hides_nothing(look: Look) -> None:
    found = look(f"{DROP}  # pgsteady: ignore[drop-column]")
    assert codes(found) == {"drop-column", "ignore-without-reason"}


def test_that_hides_nothing_is_said(look: Look) -> None:
    assert codes(look("pass  # pgsteady: ignore[drop-table] gone")) == {"unused-ignore"}


def test_in_pyproject(look: Look, toy: Toy) -> None:
    assert "drop-column" in codes(look(DROP))
    (toy.folder / "pyproject.toml").write_text(
        "[[tool.pgsteady.lint.ignore]]\n"
        'code = "drop-column"\nrevision = "002_*"\nobject = "users.name"\nreason = "unread"\n'
    )
    assert not lint(Project.load(toy.ini), ["002_next"]).findings
    text = (toy.folder / "pyproject.toml").read_text()
    (toy.folder / "pyproject.toml").write_text(text.replace("002_*", "003_*"))
    assert "drop-column" in codes(lint(Project.load(toy.ini), ["002_next"]).findings)
    (toy.folder / "pyproject.toml").write_text(text.replace('"unread"', '""'))
    assert "ignore-without-reason" in codes(lint(Project.load(toy.ini), ["002_next"]).findings)
