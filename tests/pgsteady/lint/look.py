"""How tests of lint look at a revision."""

from __future__ import annotations

from collections.abc import Callable

from pgsteady.finding import Finding

Look = Callable[..., list[Finding]]
"""Writes a revision with this upgrade(), and downgrade(), and returns what lint finds in it."""


def codes(findings: list[Finding]) -> set[str]:
    return {finding.code for finding in findings}
