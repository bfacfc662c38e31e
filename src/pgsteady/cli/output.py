"""How the commands speak: people read lines, programs one JSON document."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from pgsteady.finding import Finding, Severity

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
"""The option of every command."""

if isinstance(sys.stdout, io.TextIOWrapper):
    sys.stdout.reconfigure(errors="replace")  # as stderr, it never fails over a character

out = Console(highlight=False, soft_wrap=True)
if not out.is_terminal:
    out.width = 200  # what reads a pipe does not want lines broken at 80
err = Console(stderr=True, highlight=False, soft_wrap=True)

COLOURS = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}


def print_json(document: Any) -> None:
    """Print one JSON document to stdout; UUIDs and paths become text, times by RFC 3339."""
    is_unicode = (sys.stdout.encoding or "utf-8").lower().startswith("utf")
    json.dump(document, sys.stdout, indent=2, default=_text, ensure_ascii=not is_unicode)
    sys.stdout.write("\n")


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value)


def print_finding(finding: Finding) -> None:
    """Print a finding for people: what, where, and below it what mends it."""
    colour = COLOURS[finding.severity]
    place = f" ({finding.file}{f':{finding.line}' if finding.line else ''})" if finding.file else ""
    out.print(
        f"[{colour}]{finding.severity:7}[/] [bold]{escape(finding.object)}[/]: "
        f"{escape(finding.message)} [dim]\\[{finding.code}]{escape(place)}[/]"
    )
    if finding.cure:
        out.print(f"        {finding.cure}", markup=False)
    for line in finding.sql.splitlines():
        out.print(f"        {line}", markup=False, style="green")


def number(amount: int, noun: str) -> str:
    """Say how many: ``1 row``, ``2,000 rows``."""
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"


def counted(findings: Sequence[Finding]) -> str:
    """Say how many findings there are of each severity: ``2 errors, 1 warning``."""
    numbers = dict.fromkeys(Severity, 0)
    for finding in findings:
        numbers[finding.severity] += 1
    named = [
        f"{number} {severity}{'' if number == 1 or severity == Severity.INFO else 's'}"
        for severity, number in numbers.items()
        if number
    ]
    return ", ".join(named) or "nothing"
