"""The bars: lint finds almost all that PostgreSQL was seen to do badly, and cries no wolf."""

from __future__ import annotations

import pytest
from judging import alarmed, findings, score, squawk_says
from observe import cases, labels

from pgsteady.lint.rules import RULES
from pgsteady.lint.squawk import OURS, UNWANTED


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
    """Where a rule of squawk is left to ours, ours says so too of every bad statement."""
    known = labels()
    for case in cases():
        said = squawk_says(case) & OURS.keys()
        said -= {"require-lock-timeout"}  # the project sets one
        if known[case.name]["18"]["label"] == "bad" and said:
            codes = {finding.code for finding in findings(case)}
            assert codes & RULES.keys(), (case.name, said)


def test_every_rule_of_squawk_left_to_ours_has_one() -> None:
    assert set(OURS.values()) <= RULES.keys()
    assert not OURS.keys() & UNWANTED.keys()
