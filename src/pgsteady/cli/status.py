"""``status``: which revision the database has, and what is pending."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import typer

from pgsteady.cli.output import Json, out, print_json
from pgsteady.cli.source import Source
from pgsteady.drift import check
from pgsteady.project import Project
from pgsteady.status import Status


def status(
    context: typer.Context,
    as_json: Json = False,
) -> None:
    """Say which revision the database has and what is pending."""
    source: Source = context.obj
    raise typer.Exit(run(source.project(), as_json=as_json))


def run(project: Project, *, as_json: bool = False) -> int:
    """Print where the database stands; return 1 if it is not at head or has drifted."""
    report = check(project)
    status, differences = report.status, len(report.drift)
    drifted = None if report.not_compared and not differences else bool(differences)
    if as_json:
        print_json({**asdict(status), "drift": drifted, "not_compared": report.not_compared})
    else:
        _print(status)
        _print_drift(differences, report.not_compared)
    return 0 if status.at_head and not drifted else 1


def _print(status: Status) -> None:
    out.print(f"current  {', '.join(status.current) or 'none: no migration ever ran'}")
    out.print(f"heads    {', '.join(status.heads) or 'none: the project has no revision'}")
    for id_ in status.unknown:
        out.print(f"unknown  {id_}: no file of this project is for it", markup=False)
    for revision in status.pending:
        out.print(f"pending  {revision.id}  {revision.title}", markup=False)


def _print_drift(differences: int, not_compared: Sequence[str]) -> None:
    if differences:
        objects = "difference" if differences == 1 else "differences"
        out.print(f"drift    {differences} {objects} from the revisions; `check` names them")
    elif not_compared:
        out.print(f"drift    not known: {'; '.join(not_compared)}", markup=False)
    else:
        out.print("drift    none")
