"""The labels of the corpus still hold: PostgreSQL does what it did."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from observe import Case, Observer, cases, label, labels, observer, split

from pgsteady.server import BUNDLED_MAJORS
from servers import open_folder

NEWEST = BUNDLED_MAJORS[-1]
SAMPLE = [
    "check not valid and validate in one transaction",
    "index concurrently",
    "set not null after a valid check",
    "drop column",
    "enum value added and used",
    "rename column",
    "update of all rows",
    "vacuum full",
]
"""One case of each way to be bad, and of each way to look at a case."""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    place = open_folder()
    yield place
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Observer]:
    with observer(NEWEST, folder) as started:
        yield started


def seen_again(server: Observer, chosen: list[Case]) -> dict[str, str]:
    return {case.name: label(server.observe(case)) for case in chosen}


def recorded(chosen: list[Case], major: int = NEWEST) -> dict[str, str]:
    known = labels()
    return {case.name: known[case.name][str(major)]["label"] for case in chosen}


@pytest.mark.slow
def test_labels_of_a_sample_hold(server: Observer) -> None:
    chosen = [case for case in cases() if case.name in SAMPLE]
    assert len(chosen) == len(SAMPLE)
    assert seen_again(server, chosen) == recorded(chosen)


@pytest.mark.slow
def test_all_labels_hold(server: Observer) -> None:
    chosen = [case for case in cases() if case.name not in SAMPLE]
    assert seen_again(server, chosen) == recorded(chosen)


def test_every_case_has_a_label_and_majors_agree() -> None:
    known = labels()
    assert [case.name for case in cases()] == list(known)
    for case in cases():
        seen = known[case.name]
        assert list(seen) == [str(m) for m in BUNDLED_MAJORS if m >= case.since], case.name
        assert len({one["label"] for one in seen.values()}) == 1, case.name


def test_the_corpus_is_large_and_half_of_it_is_known_elsewhere() -> None:
    known = recorded(cases())
    assert Counter(known.values())["bad"] >= 60
    assert Counter(known.values())["good"] >= 60
    named = Counter(known[case.name] for case in cases() if case.after)
    assert named["bad"] >= 30
    assert named["good"] >= 30


def test_split_respects_dollar_quotes() -> None:
    assert split("SELECT 1; DO $$ BEGIN x; END $$;") == ["SELECT 1", "DO $$ BEGIN x; END $$"]
