"""``upgrade``: the production path of a schema change."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from pgsteady.cli.duration import seconds
from pgsteady.cli.output import Json, err, out, print_finding, print_json
from pgsteady.cli.progress import Shown
from pgsteady.cli.source import Source, called_as
from pgsteady.deploy import Limits, Order, Outcome, Report, Retries
from pgsteady.deploy import upgrade as upgrade_project
from pgsteady.deploy.report import named
from pgsteady.deploy.watch import Watch
from pgsteady.errors import EnvironmentFault
from pgsteady.progress import SILENT
from pgsteady.project import Project

FAILURE, ENVIRONMENT = 1, 3
PANEL = "Watching the others"


def upgrade(
    context: typer.Context,
    target: Annotated[str, typer.Argument(help="A revision, +N, or heads.")] = "heads",
    accept_lint: Annotated[
        list[str] | None,
        typer.Option(help="Go on although lint finds errors of this code.", metavar="CODE"),
    ] = None,
    no_rehearsal: Annotated[
        str | None,
        typer.Option(help="Go on without a rehearsal; why is recorded.", metavar="REASON"),
    ] = None,
    backup: Annotated[
        Path | None,
        typer.Option(help="A backup made in the last hour; else one is made.", metavar="FOLDER"),
    ] = None,
    patience: Annotated[
        float,
        typer.Option(
            help="How long each revision is tried again for a lock.",
            parser=seconds,
            metavar="DURATION",
        ),
    ] = 300,
    maintenance: Annotated[
        bool, typer.Option("--maintenance", help="Switch maintenance on, and off after success.")
    ] = False,
    watch: Annotated[
        float | None,
        typer.Option(
            help="See what others feel, and so long after the last revision.",
            parser=seconds,
            metavar="DURATION",
            rich_help_panel=PANEL,
        ),
    ] = None,
    max_blocked: Annotated[
        int | None,
        typer.Option(
            min=0, help="Stop if more sessions wait for locks at once.", rich_help_panel=PANEL
        ),
    ] = None,
    max_blocked_for: Annotated[
        float | None,
        typer.Option(
            help="Stop if a session waits longer.",
            parser=seconds,
            metavar="DURATION",
            rich_help_panel=PANEL,
        ),
    ] = None,
    max_rollback_rate: Annotated[
        float | None,
        typer.Option(
            min=0, help="Stop if more transactions a second roll back.", rich_help_panel=PANEL
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Upgrade the database as production needs it: checked, rehearsed, backed up, proved.

    Limits stop it between two revisions, never within one.
    """
    source: Source = context.obj
    order = Order(
        target=target,
        accept_lint=accept_lint or (),
        without_rehearsal=no_rehearsal,
        backup=backup,
        retries=Retries(patience_s=patience),
        maintenance=maintenance,
        watch_s=watch,
        limits=Limits(max_blocked, max_blocked_for, max_rollback_rate),
        program=called_as(context),
    )
    raise typer.Exit(run(source.project(), order, as_json=as_json))


def run(project: Project, order: Order, *, as_json: bool = False) -> int:
    """Upgrade, print the report and return the exit code: 1 if it is not done or not proved."""
    report = upgrade_project(project, order, SILENT if as_json else Shown())
    if as_json:
        print_json(report.as_json())
    else:
        _print(report)
    if isinstance(report.error, EnvironmentFault):
        return ENVIRONMENT
    return 0 if report.outcome in {Outcome.DONE, Outcome.NOTHING} else FAILURE


def _print(report: Report) -> None:
    for died in report.died:
        out.print(str(died), markup=False, style="yellow")
    for finding in report.findings:
        print_finding(finding)
    if report.watch:
        _print_watch(report.watch)
    if report.error:
        err.print("[bold red]Error[/]: ", end="")
        err.print(str(report.error), markup=False)
    if report.outcome is Outcome.NOTHING:
        out.print(f"Nothing to do: the database is at {named(report.from_revisions)}.")
        if report.back:
            out.print(f"It is past the target. Go back with: {report.back[0]}", markup=False)
        return
    verb = str(report.outcome).capitalize()
    out.print(f"[bold]{verb}[/]: {_now(report)}.")
    for title, text in (
        ("Left", report.left),
        ("Backup", str(report.backup or "")),
        ("Go on", "; ".join(report.on)),
        ("Go back", " or ".join(report.back)),
    ):
        if text:
            out.print(f"{title:8} {text}", markup=False)
    if report.maintenance:
        out.print("Maintenance is on.")


def _now(report: Report) -> str:
    """Say what is true of the database now."""
    if report.current is None:
        return "the server does not answer, so where the database is is not known"
    number = len(report.done)
    applied = f"{number} of {len(report.steps)} revisions applied"
    return f"{applied}, the database is at {named(report.current)}"


def _print_watch(watch: Watch) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("", *watch.phases):
        table.add_column(column)
    rows = {
        "seconds": [f"{phase.seconds:.1f}" for phase in watch.phases.values()],
        "sessions blocked at once": [str(phase.blocked) for phase in watch.phases.values()],
        "longest block": [f"{phase.blocked_for_s:.1f} s" for phase in watch.phases.values()],
        "rollbacks a second": [f"{phase.rollbacks_per_s:.1f}" for phase in watch.phases.values()],
        "commits a second": [f"{phase.commits_per_s:.1f}" for phase in watch.phases.values()],
        "deadlocks": [str(phase.deadlocks) for phase in watch.phases.values()],
    }
    for name, values in rows.items():
        table.add_row(name, *values)
    out.print(table)
    for name, phase in watch.phases.items():
        for query, longest_s in phase.slowest.items():
            out.print(f"slow {name}: {longest_s:.1f} s  {query}", markup=False)
    for said in watch.exceeded.values():
        out.print(f"Limit exceeded: {said}.", markup=False, style="bold red")
    if watch.grant:
        out.print(f"Queries of other roles are not shown to this one: {watch.grant}", markup=False)
    if watch.broken:
        out.print(f"The watch ended early: {watch.broken}", markup=False, style="yellow")
