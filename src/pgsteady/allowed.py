"""Findings that a project accepts, each with its reason, as ``pyproject.toml`` lists them.

    [[tool.pgsteady.check.allow]]
    object = "index materials.ix_report_*"
    code = "extra-index"
    reason = "Made by the administrators for the yearly report"

``object`` and ``code`` are patterns with ``*``; ``code`` may be left out.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pgsteady.errors import WrongAllowance
from pgsteady.finding import Finding


@dataclass(frozen=True)
class Allowance:
    """What is accepted, and why."""

    object: str
    reason: str
    code: str = "*"

    def covers(self, finding: Finding) -> bool:
        """Tell whether this is about that finding."""
        return fnmatchcase(finding.object, self.object) and fnmatchcase(finding.code, self.code)


def allowances(ini: Path) -> list[Allowance]:
    """Read what the ``pyproject.toml`` beside ``alembic.ini`` allows; none if there is none.

    Raises:
        WrongAllowance: an entry names no object or gives no reason.
    """
    file = ini.with_name("pyproject.toml")
    if not file.is_file():
        return []
    tools = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {})
    entries = tools.get("pgsteady", {}).get("check", {}).get("allow", [])
    return [_allowance(entry, file) for entry in entries]


def reason_for(finding: Finding, allowed: Sequence[Allowance]) -> str | None:
    """Return why a finding is accepted, None if it is not."""
    return next((a.reason for a in allowed if a.covers(finding)), None)


def _allowance(entry: Any, file: Path) -> Allowance:
    said = entry if isinstance(entry, dict) else {}
    if not str(said.get("object", "")).strip() or not str(said.get("reason", "")).strip():
        raise WrongAllowance(
            f"{file}: this entry of [[tool.pgsteady.check.allow]] needs an object and a "
            f"reason: {entry}"
        )
    return Allowance(str(said["object"]), str(said["reason"]), str(said.get("code", "*")))
