"""The blocks of ``docs/MIGRATION_GUIDE.md``, and which test runs each."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "MIGRATION_GUIDE.md"
GUIDES_FOLDER = "/home/user/O.R.I.O.N-LLM-Research-Platform"


class Block(NamedTuple):
    """A fenced block: the heading it stands under, its language, its text."""

    heading: str
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """The lines that are typed: no comments, none of ``NOT_TYPED``."""
        lines = (line.partition("  #")[0].strip() for line in self.text.splitlines())
        return [line for line in lines if line and line[0] != "#" and line not in NOT_TYPED]


NOT_TYPED = {
    "sudo apt-get install postgresql-12-pgvector": "the administrator's; PostgreSQL 12 is past its "
    "life, and the bundled servers have pgvector",
    "brew install pgvector": "the administrator's, on macOS",
    "sudo systemctl status postgresql": "the administrator's; needs systemd",
}
"""Lines of the guide that no test types, and why."""

NOT_RUN = {
    ("6. Document Complex Migrations", "python"): "a docstring, nothing to run",
}
"""Blocks that no test runs, and why."""


def blocks() -> dict[tuple[str, str], Block]:
    """Return the guide's blocks by heading and language; expected outputs have none."""
    found: dict[tuple[str, str], Block] = {}
    heading = ""
    for match in re.finditer(r"^#+ ([^\n]*)$|^```(\w*)\n(.*?)^```", GUIDE.read_text(), re.M | re.S):
        if match[1]:
            heading = match[1]
        else:
            key = (heading, match[2])
            assert key not in found, f"two blocks of one language under {heading}"
            found[key] = Block(heading, match[2], match[3])
    return found


BLOCKS = blocks()
COVERED: Counter[tuple[str, str]] = Counter()


def follows(*headings: str, language: str = "bash") -> Any:
    """Give the test the block under each heading as ``block``; the guide is so covered."""
    COVERED.update((heading, language) for heading in headings)
    chosen = [BLOCKS[heading, language] for heading in headings]
    return pytest.mark.parametrize("block", chosen, ids=[block.heading for block in chosen])


def expected(heading: str) -> str:
    """Return the output that the guide shows under ``heading``."""
    return BLOCKS[heading, ""].text
