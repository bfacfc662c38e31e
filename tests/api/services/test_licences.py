"""Licences as people write them."""

from __future__ import annotations

import pytest

from api.errors import WrongUsage
from api.services.licences import licence


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("CC0-1.0", "CC0-1.0"),
        ("cc-by-4.0", "CC-BY-4.0"),
        ("mit or apache-2.0", "MIT OR Apache-2.0"),
        ("LicenseRef-our-group", "LicenseRef-our-group"),
    ],
)
def test_what_spdx_knows_gets_its_spelling(written: str, canonical: str) -> None:
    assert licence(written) == canonical


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("CC BY 4.0", "Did you mean CC-BY-4.0?"),
        ("cc by-nc", "Did you mean CC-BY-NC-4.0?"),
        ("CC0", "Did you mean CC0-1.0?"),
        ("free for all", "LicenseRef-"),
        ("LicenseRef-", "LicenseRef-"),
        ("", "such as CC0-1.0"),
    ],
)
def test_what_it_does_not_is_refused_with_a_way_on(written: str, said: str) -> None:
    with pytest.raises(WrongUsage, match=said.replace("?", r"\?")):
        licence(written)
