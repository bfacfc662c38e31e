"""The fingerprints on file are those of the revisions, on every major version."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgsteady.fingerprints import made, recorded
from pgsteady.project import Project
from pgsteady.replay import Surroundings
from pgsteady.server import BUNDLED_MAJORS

INI = Path(__file__).parents[3] / "alembic.ini"


@pytest.mark.parametrize("major", BUNDLED_MAJORS)
def test_the_fingerprints_on_file_are_up_to_date(major: int) -> None:
    """`python -m pgsteady catalog` writes them."""
    project = Project.load(INI)
    assert made(project, Surroundings(major=major)) == recorded(project)
