"""``check``: is the database what its revisions made, and what the models say?"""

from __future__ import annotations

from collections.abc import Sequence

import typer

from pgsteady.cli.output import Json, counted, out, print_finding, print_json
from pgsteady.cli.source import Source
from pgsteady.drift import Report
from pgsteady.drift import check as check_project
from pgsteady.finding import Finding
from pgsteady.project import Project


def check(
    context: typer.Context,
    as_json: Json = False,
) -> None:
    """Compare the database with its revisions and with the models."""
    source: Source = context.obj
    raise typer.Exit(run(source.project(), as_json=as_json))


def run(project: Project, *, as_json: bool = False) -> int:
    """Print how database, revisions and models differ; return 1 if they do, else 0."""
    report = check_project(project)
    if as_json:
        print_json(report.as_json())
    else:
        _print(report)
    return 1 if report.findings else 0


def _print(report: Report) -> None:
    at = ", ".join(report.status.current) or "no revision"
    _section(f"Drift: the database against its revisions ({at})", report.drift)
    behind = len(report.status.pending)
    if report.pending and behind:
        pending = f"{behind} revision{'' if behind == 1 else 's'} not applied yet"
        _section(f"Pending: the database against the models ({pending})", report.pending)
    else:
        _section("Pending: the database against the models", report.pending)
    for reason in report.not_compared:
        out.print(f"Not compared: {reason}", markup=False)
    for finding, why in report.allowed:
        out.print(f"Allowed: {finding.object}: {finding.code} ({why})", markup=False, style="dim")
    if report.findings:
        out.print(f"Found {counted(report.findings)}.")
    elif report.not_compared:
        out.print("Found nothing else.")
    else:
        out.print(f"Database, revisions and models agree ({at}).", markup=False)


def _section(title: str, findings: Sequence[Finding]) -> None:
    if findings:
        out.print(f"[bold]{title}[/]")
        for finding in findings:
            print_finding(finding)
        out.print()
