"""docs/lint.md has every rule as it is, and every rule of the other tools a place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pgsteady.lint.rule import Rule
from pgsteady.lint.rules import RULES
from pgsteady.lint.squawk import OURS, UNWANTED, WORSE

PAGE = (Path(__file__).parents[3] / "docs" / "lint.md").read_text()


def row(rule: Rule) -> str:
    """How a rule stands in the docs; ``|`` would end a cell."""
    return f"| `{rule.code}` | {rule.severity} | {rule.effect} | {rule.cure} |"


@pytest.mark.parametrize("code", RULES)
def test_rule_is_documented(code: str) -> None:
    assert row(RULES[code]) in PAGE


def test_no_other_rule_is_documented() -> None:
    assert set(re.findall(r"^\| `([a-z-]+)` \| (?:error|warning|info) \|", PAGE, re.M)) == set(
        RULES
    )


def test_rules_named_beside_those_of_other_tools_exist() -> None:
    tables = PAGE.partition("## Rule by rule")[2]
    named = set(re.findall(r"→ `([a-z-]+)`", tables))
    assert len(named) > 30
    assert named <= RULES.keys()


@pytest.mark.parametrize("rule", [*OURS, *UNWANTED, *WORSE])
def test_rule_of_squawk_is_named(rule: str) -> None:
    assert f"`{rule}`" in PAGE
