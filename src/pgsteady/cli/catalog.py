"""``catalog``: record by what each revision's schema is recognised."""

from __future__ import annotations

import typer

from pgsteady.cli.output import Json, out, print_json
from pgsteady.cli.source import Source
from pgsteady.fingerprints import folder, record
from pgsteady.project import Project


def catalog(
    context: typer.Context,
    as_json: Json = False,
) -> None:
    """Record by what each revision's schema is recognised; `doctor` reads it."""
    source: Source = context.obj
    raise typer.Exit(run(source.project(), as_json=as_json))


def run(project: Project, *, as_json: bool = False) -> int:
    """Write the fingerprint of each revision and print which files changed."""
    changed = record(project)
    if as_json:
        print_json({"folder": folder(project), "changed": [file.name for file in changed]})
    else:
        names = ", ".join(file.name for file in changed) or "nothing"
        out.print(f"Changed in {folder(project)}: {names}", markup=False)
    return 0
