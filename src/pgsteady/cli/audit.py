"""``audit``: who changed the schema, when, and from which code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from pgsteady.audit import Breach, Record, breach, history
from pgsteady.cli.output import out, print_json
from pgsteady.connection import connect
from pgsteady.project import Project
from pgsteady.status import current_revisions

HASH_SHOWN = 12


def audit(
    context: typer.Context,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check that no record was changed, and name the first.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Say who changed the schema, when, and from which code."""
    ini: Path = context.obj
    raise typer.Exit(run(Project.load(ini), verify=verify, as_json=as_json))


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
        out.print(f"{len(records)} records, none changed. The last has hash {records[-1].hash}.")
    else:
        _print_history(records)


def _print_history(records: Sequence[Record]) -> None:
    if not records:
        out.print("Nothing is recorded: pgsteady never changed this database.")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("", "when", "command", "from", "to", "outcome", "took", "who", "code", "hash"):
        table.add_column(column, overflow="fold")
    for record in records:
        table.add_row(*map(escape, _row(record)))
    out.print(table)


def _row(record: Record) -> list[str]:
    commit, dirty, _ = (record.git_revision or "").partition("-dirty")
    return [
        str(record.number),
        f"{record.started_at.astimezone():%Y-%m-%d %H:%M:%S}",
        record.command,
        ", ".join(record.from_revisions) or "base",
        ", ".join(record.to_revisions) or "base",
        " ".join(filter(None, [record.outcome, record.error])),
        f"{record.duration_ms} ms",
        f"{record.os_user}@{record.host} as {record.database_user}",
        " ".join(filter(None, [record.code, commit[:HASH_SHOWN] + dirty])),
        record.hash[:HASH_SHOWN],
    ]
