"""Every injected corruption is found, and the object it is about is named."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from corruptions import MUSEUM, PLATFORM, Corruption
from filled import Filled, Template


def judged(filled: Filled, template: Template, corruption: Corruption) -> None:
    filled.sql(corruption.sql)
    found = [*filled.examine(), *filled.against(template.evidence)]
    assert (corruption.code, corruption.object) in {(f.code, f.object) for f in found}, found


@pytest.mark.parametrize("kind", MUSEUM)
def test_corruption_is_found(
    kind: str, museums: Callable[[int], Template], clone: Callable[[Template], Filled]
) -> None:
    template = museums(18)
    judged(clone(template), template, MUSEUM[kind])


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(MUSEUM)[::4])
def test_corruption_is_found_on_an_older_server(
    kind: str, museums: Callable[[int], Template], clone: Callable[[Template], Filled]
) -> None:
    template = museums(16)
    judged(clone(template), template, MUSEUM[kind])


@pytest.mark.parametrize("kind", PLATFORM)
def test_corruption_of_this_project_is_found(
    kind: str, platforms: Callable[[int], Template], clone: Callable[[Template], Filled]
) -> None:
    template = platforms(18)
    judged(clone(template), template, PLATFORM[kind])


def test_nothing_is_found_where_nothing_is_wrong(
    museums: Callable[[int], Template], clone: Callable[[Template], Filled]
) -> None:
    template = museums(18)
    filled = clone(template)
    assert filled.examine() == []
    assert filled.against(template.evidence) == []
