"""``status``: which revision the database has, and what is pending."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pgsteady.cli.output import out, print_json
from pgsteady.connection import connect
from pgsteady.project import Project
from pgsteady.status import Status, read_status


def status(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Say which revision the database has and what is pending."""
    ini: Path = context.obj
    raise typer.Exit(run(Project.load(ini), as_json=as_json))


def run(project: Project, *, as_json: bool = False) -> int:
    """Print where the database stands and return the exit code: 1 if it is not at head."""
    with connect(project.database()) as connection:
        found = read_status(project, connection)
    if as_json:
        print_json(asdict(found))
    else:
        _print(found)
    return 0 if found.at_head else 1


def _print(status: Status) -> None:
    out.print(f"current  {', '.join(status.current) or 'none: no migration ever ran'}")
    out.print(f"heads    {', '.join(status.heads) or 'none: the project has no revision'}")
    for id_ in status.unknown:
        out.print(f"unknown  {id_}: no file of this project is for it")
    for revision in status.pending:
        out.print(f"pending  {revision.id}  {revision.title}", markup=False)
