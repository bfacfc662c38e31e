"""A toy project whose revisions are looked at."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from look import Look

from pgsteady.finding import Finding
from pgsteady.lint import lint
from pgsteady.project import Project
from toy import Project as Toy

TABLE = (
    "op.create_table('users', sa.Column('id', sa.BigInteger, sa.Identity(), primary_key=True), "
    "sa.Column('name', sa.Text))"
)


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    """A project whose first revision has made the table ``users (id, name)``."""
    project = Toy(tmp_path)
    project.revision("001_users", TABLE, "op.drop_table('users')")
    return project


@pytest.fixture
def look(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> Look:
    """Write a revision after the first, and return what lint finds in it."""
    # Of two texts of one length in one second, the bytecode of the first would be taken.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def findings(
        upgrade: str,
        downgrade: str = "raise NotImplementedError",
        *,
        above: str = "",
        base: str | None = None,
    ) -> list[Finding]:
        (toy.versions / "002_next.py").write_text(
            '"""What it is for."""\nimport sqlalchemy as sa\nfrom alembic import context, op\n'
            f"{above}"
            "revision = '002_next'\ndown_revision = '001_users'\n"
            f"def upgrade():\n    {upgrade}\ndef downgrade():\n    {downgrade}\n"
        )
        return lint(Project.load(toy.ini), ["002_next"], base=base).findings

    return findings
