"""``audit``: who changed the schema, when, and from which code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

from pgsteady.audit import FAILED, NOTICED, Breach, Record, breach, history
from pgsteady.cli.output import Json, out, print_json
from pgsteady.cli.source import Source
from pgsteady.connection import connect
from pgsteady.project import Project
from pgsteady.status import current_revisions

HASH_SHOWN = 12
COLOURS = {FAILED: "bold red", NOTICED: "yellow"}


def audit(
    context: typer.Context,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check that no record was changed, and name the first.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say who changed the schema, when, and from which code."""
    source: Source = context.obj
    raise typer.Exit(run(source.project(), verify=verify, as_json=as_json))


def run(project: Project, *, verify: bool = False, as_json: bool = False) -> int:
    """Print the audit and return the exit code: 1 if ``verify`` finds a record changed."""
    with connect(project.database()) as connection:
        records = history(connection)
        broken = breach(records, current_revisions(project, connection)) if verify else None
    if as_json:
        document: dict[str, object] = {"records": [asdict(record) for record in records]}
        if verify:
            document["breach"] = asdict(broken) if broken else None
        print_json(document)
    elif verify:
        _print_verdict(records, broken)
    else:
        _print_history(records)
    return 1 if broken else 0


def _print_verdict(records: Sequence[Record], broken: Breach | None) -> None:
    if broken:
        out.print(f"[bold red]Record {broken.number}[/]: {escape(broken.reason)}.")
    elif records:
        out.print(f"Records: {len(records)}, none changed. The last has hash {records[-1].hash}.")
    else:
        _print_history(records)


def _print_history(records: Sequence[Record]) -> None:
    if not records:
        out.print("Nothing is recorded: pgsteady never changed this database.")
    width = len(str(len(records)))
    for record in records:
        step = f"{_named(record.from_revisions)} -> {_named(record.to_revisions)}"
        ended = " ".join(filter(None, [record.outcome, record.error]))
        who = f"{record.os_user}@{record.host} as {record.database_user}"
        commit, dirty, _ = (record.git_revision or "").partition("-dirty")
        code = " ".join(filter(None, [record.code, commit[:HASH_SHOWN] + dirty]))
        when = f"{record.started_at.astimezone():%Y-%m-%d %H:%M:%S}"
        out.print(
            f"[bold]{record.number:{width}}[/]  {when}  {record.command} {escape(step)}  "
            f"[{COLOURS.get(record.outcome, 'default')}]{escape(ended)}[/], {record.duration_ms} ms"
        )
        said = [who, f"from {code}" if code else "", f"hash {record.hash[:HASH_SHOWN]}"]
        out.print(" " * (width + 2) + ", ".join(filter(None, said)), markup=False, style="dim")


def _named(revisions: Sequence[str]) -> str:
    return ", ".join(revisions) or "base"
