"""A review as other programs read it: JSON, SARIF, and annotations of GitHub and GitLab."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pgsteady.finding import Finding, Severity
from pgsteady.lint.review import Review
from pgsteady.lint.rules import RULES


def as_json(review: Review) -> str:
    """Return one document: the revisions looked at, and the findings."""
    findings = [one.as_json() | _place(one) for one in review.findings]
    document = {"revisions": review.revisions, "findings": findings}
    return json.dumps(document, indent=2, ensure_ascii=False)


def as_sarif(review: Review) -> str:
    """Return SARIF 2.1.0 (OASIS), as code hosts show it."""
    levels = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
    codes = sorted({one.code for one in review.findings})
    results = [
        {
            "ruleId": one.code,
            "ruleIndex": codes.index(one.code),
            "level": levels[one.severity],
            "message": {"text": _sentence(one)},
            "locations": [{"physicalLocation": _location(one)}],
        }
        for one in review.findings
    ]
    driver = {"name": "pgsteady", "rules": [_rule(code) for code in codes]}
    document = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def as_github(review: Review) -> str:
    """Return workflow commands, one a line, which GitHub turns into annotations."""
    words = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}
    lines = []
    for one in review.findings:
        place = _place(one)
        where = f"file={_escaped(place['file'], ',:')},line={place['line']},title={one.code}"
        lines.append(f"::{words[one.severity]} {where}::{_escaped(_sentence(one))}")
    return "\n".join(lines)


def as_gitlab(review: Review) -> str:
    """Return a Code Quality report of GitLab."""
    words = {Severity.ERROR: "critical", Severity.WARNING: "major", Severity.INFO: "info"}
    entries = []
    for one in review.findings:
        place = _place(one)
        identity = "\0".join((one.code, place["file"], one.object, one.message))
        entries.append(
            {
                "description": _sentence(one),
                "check_name": one.code,
                "fingerprint": hashlib.sha256(identity.encode()).hexdigest(),
                "severity": words[one.severity],
                "location": {"path": place["file"], "lines": {"begin": place["line"]}},
            }
        )
    return json.dumps(entries, indent=2, ensure_ascii=False)


FORMATS: dict[str, Callable[[Review], str]] = {
    "json": as_json,
    "sarif": as_sarif,
    "github": as_github,
    "gitlab": as_gitlab,
}


def _sentence(finding: Finding) -> str:
    said = f"{finding.object}: {finding.message}."
    return f"{said} Safe: {finding.cure}." if finding.cure else said


def _place(finding: Finding) -> dict[str, Any]:
    file = finding.file or Path("alembic.ini")
    return {"file": file.as_posix(), "line": finding.line or 1}


def _location(finding: Finding) -> dict[str, Any]:
    place = _place(finding)
    return {
        "artifactLocation": {"uri": place["file"]},
        "region": {"startLine": place["line"]},
    }


def _rule(code: str) -> dict[str, Any]:
    if code not in RULES:
        return {"id": code}
    rule = RULES[code]
    return {
        "id": code,
        "shortDescription": {"text": rule.effect},
        "help": {"text": rule.cure},
    }


def _escaped(text: str, also: str = "") -> str:
    """Escape as workflow commands want it."""
    for letter in "%\r\n" + also:
        text = text.replace(letter, f"%{ord(letter):02X}")
    return text
