"""The page on search names every filter as the command does, and as Python does."""

from __future__ import annotations

import re

from pages import PAGES

from api.cli.filters import FILTERS

PAGE = next(page for page in PAGES if page.name == "search.md").read_text()


def test_every_filter_stands_there_with_its_name_in_python() -> None:
    rows = re.findall(r"^\| `(--[\w-]+)`(?:, `--[\w-]+`)? \| `(\w+)` \|$", PAGE, re.MULTILINE)
    known = [(one.option, one.field) for filters in FILTERS.values() for one in filters]
    assert rows == [*known, ("--ordered", "is_ordered"), ("--result", "quantities")]
