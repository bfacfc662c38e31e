"""``repair``: what was broken off is finished or undone."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from pgsteady.cli.output import Json, out, print_finding, print_json
from pgsteady.cli.progress import Shown
from pgsteady.cli.source import Source
from pgsteady.progress import SILENT
from pgsteady.project import Project
from pgsteady.repair import Report
from pgsteady.repair import repair as repair_project


def repair(
    context: typer.Context,
    finish: Annotated[
        bool, typer.Option("--finish", help="Finish a half-done revision instead of undoing it.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Finish or undo what a killed or failed run left, and clear it away."""
    source: Source = context.obj
    raise typer.Exit(run(source.project(), finish=finish, dry_run=dry_run, as_json=as_json))


def run(
    project: Project, *, finish: bool = False, dry_run: bool = False, as_json: bool = False
) -> int:
    """Repair, print what was done, and return the exit code: 1 if something remains."""
    progress = SILENT if as_json else Shown()
    report = repair_project(project, finish=finish, dry_run=dry_run, progress=progress)
    if as_json:
        print_json(report.as_json())
    else:
        _print(report)
    return 0 if report.is_whole else 1


def _print(report: Report) -> None:
    for repair in report.repairs:
        done = f"Would {repair.action}" if report.dry_run else f"Done: {repair.action}"
        out.print(f"[bold]{escape(repair.object)}[/]: {escape(repair.message)}")
        out.print(f"        {done}.", markup=False)
        for statement in repair.sql:
            for line in statement.splitlines():
                out.print(f"        {line}", markup=False, style="green")
    for finding in report.remaining:
        print_finding(finding)
    if report.remaining:
        out.print(f"\nRemaining: {len(report.remaining)}.")
    elif not report.repairs:
        out.print("Nothing is to be repaired.")
    elif not report.dry_run:
        out.print(f"\nRepaired: {len(report.repairs)}. Nothing remains.")
