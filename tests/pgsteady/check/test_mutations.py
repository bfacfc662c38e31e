"""Every single change is found, named and mended; nothing is found where nothing changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from live_schema import Live
from mutations import BY_HAND, PLATFORM, SHOP, Mutation

from pgsteady.server import BUNDLED_MAJORS

MAJORS = [
    pytest.param(major, marks=[] if major == BUNDLED_MAJORS[-1] else pytest.mark.slow)
    for major in BUNDLED_MAJORS
]


@pytest.mark.slow
@pytest.mark.parametrize("major", BUNDLED_MAJORS)
def test_nothing_is_found_right_after_the_upgrade(
    platform: Callable[[int], Live], shop: Callable[[int], Live], major: int
) -> None:
    for live in (platform(major), shop(major)):
        with live.changed("SELECT 1"):
            assert live.against_revisions() == []
            assert live.against_models() == []


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize("name", PLATFORM)
def test_a_change_to_our_schema(platform: Callable[[int], Live], name: str, major: int) -> None:
    found_and_mended(platform(major), name, PLATFORM[name])


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize("name", SHOP)
def test_a_change_to_a_foreign_schema(shop: Callable[[int], Live], name: str, major: int) -> None:
    found_and_mended(shop(major), name, SHOP[name])


def found_and_mended(live: Live, name: str, mutation: Mutation) -> None:
    with live.changed(mutation.sql):
        found = live.against_revisions()
        assert (mutation.code, mutation.object) in {(f.code, f.object) for f in found}, found
        if name in BY_HAND:
            return
        if mutation.sql.startswith("{admin}"):
            live.execute("RESET ROLE")
        for finding in found:
            live.execute(finding.sql)
        assert live.against_revisions() == [], found
