"""The page on exports lists what the files hold."""

from __future__ import annotations

import re

from pages import PAGES

from api.export import OPTIMADE
from nanoos.writers import FIELDS, known_formats

PAGE = next(page for page in PAGES if page.name == "export.md").read_text()


def test_fields_are_those_of_the_files() -> None:
    listed = re.findall(r"^\| `(\w+)` \| .* \| (.*) \|$", PAGE.partition("## Fields")[2], re.M)
    assert listed == [(field.name, field.description) for field in FIELDS]


def test_formats_are_those_that_can_be_written() -> None:
    table = PAGE.partition("| format |")[2].partition("\n\n")[0]
    listed = re.findall(r"^\| `([\w-]+)` \|", table, re.M)
    assert sorted(listed) == sorted([*known_formats(), OPTIMADE.name])
