"""The bars: lint finds almost all that PostgreSQL was seen to do badly, and cries no wolf."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judging import alarmed, findings, score, squawk_says
from observe import Case, cases, labels

from pgsteady.lint.rules import RULES
from pgsteady.lint.squawk import OURS, UNWANTED


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "least_found", "most_false_alarms"),
    [("cases", 0.95, 0.02), ("held_out", 0.95, 0.15)],
)
def test_bars(file: str, least_found: float, most_false_alarms: float) -> None:
    result = score(file, {case.name: alarmed(case) for case in cases(file)})
    bad = len(result.found) + len(result.missed)
    good = len(result.quiet) + len(result.false_alarms)
    assert len(result.found) >= least_found * bad, result.missed
    assert len(result.false_alarms) <= most_false_alarms * good, result.false_alarms


def test_what_breaks_running_code_is_named() -> None:
    known = labels()
    breaking = [case for case in cases() if known[case.name]["18"]["label"] == "breaks"]
    assert breaking
    assert all(alarmed(case) for case in breaking)


def test_ours_finds_what_squawk_finds() -> None:
    """Of no bad statement squawk says something that is left to ours, and ours says nothing."""
    known = labels()
    for case in cases():
        said = (squawk_says(case) & OURS.keys()) - {"require-lock-timeout"}  # the project sets one
        if known[case.name]["18"]["label"] == "bad" and said:
            assert alarmed(case), said


def test_revision_of_which_nothing_before_is_known() -> None:
    """Less is told apart then, but nothing fails, and what is unknown is taken for dangerous."""
    result = score("cases", {case.name: alarmed(case, alone=True) for case in cases()})
    assert len(result.found) >= 0.9 * (len(result.found) + len(result.missed)), result.missed


@given(
    chosen=st.lists(st.sampled_from(cases()), min_size=1, max_size=4),
    alone=st.booleans(),
    autocommit=st.booleans(),
)
@settings(max_examples=60)
def test_any_statements_in_any_order_are_judged(
    chosen: list[Case], alone: bool, autocommit: bool
) -> None:
    """Nothing fails where statements meet objects that others dropped, made or renamed."""
    sql = "; ".join(case.sql for case in chosen)
    for finding in findings(replace(chosen[0], sql=sql, autocommit=autocommit), alone=alone):
        assert finding.line in {None, 3}
        assert finding.object
        assert finding.message


def test_every_rule_of_squawk_left_to_ours_has_one() -> None:
    assert set(OURS.values()) <= RULES.keys()
    assert not OURS.keys() & UNWANTED.keys()
