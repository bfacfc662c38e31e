"""``backup``: one moment of the database, proved before it counts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.filesize import decimal
from rich.table import Table

from pgsteady.backup import (
    Backup,
    Form,
    Retention,
    back_up,
    backup_folder,
    backups,
    of_database,
    remove,
)
from pgsteady.cli.output import Json, number, out, print_json
from pgsteady.cli.progress import Shown
from pgsteady.cli.source import Source
from pgsteady.lock import direct
from pgsteady.progress import SILENT
from pgsteady.url import parse

Folder = Annotated[Path | None, typer.Option("--folder", help="Where the backups lie.")]
On = Annotated[str | None, typer.Option("--on", help="Prove it on that server.", metavar="URL")]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, help="How many tables at a time.")]


def backup(
    context: typer.Context,
    list_: Annotated[bool, typer.Option("--list", help="Only list the backups.")] = False,
    form: Annotated[Form, typer.Option("--format", help="A file for each table, or one.")] = (
        Form.DIRECTORY
    ),
    jobs: Jobs = 2,
    folder: Folder = None,
    no_proof: Annotated[
        bool, typer.Option("--no-proof", help="Do not restore and compare it: it stays unproved.")
    ] = False,
    on: On = None,
    keep: Annotated[
        int | None, typer.Option(min=1, help="Then delete all but the newest N.", metavar="N")
    ] = None,
    keep_days: Annotated[
        float | None, typer.Option(min=0, help="Then delete those older than that.", metavar="DAYS")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Make none, and only say which would be deleted.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Back up the database; the backup counts once it was restored and compared."""
    source: Source = context.obj
    place = (folder or backup_folder(source.ini)).absolute()
    if list_:
        if folder and not folder.is_dir():
            raise typer.BadParameter(f"There is no folder {folder}.")
        found = backups(place)
        _print_json(place, found) if as_json else _print(place, found)
        return
    project = source.project()
    retention = Retention(keep, keep_days)
    made = None
    if not dry_run:
        progress = SILENT if as_json else Shown()
        made = back_up(
            project,
            folder=place,
            form=form,
            jobs=jobs,
            prove=not no_proof,
            on=parse(on, "--on") if on else None,
            progress=progress,
        )
    ours = of_database(backups(place), direct(project.database(), project.ini))
    gone = retention.outdated(ours, coming=not no_proof if dry_run else None)
    if not dry_run:
        for outdated in gone:
            remove(outdated)
    if as_json:
        print_json(
            {"backup": made and summary(made), "deleted": [str(b.folder) for b in gone]}
            | {"dry_run": dry_run}
        )
        return
    if made:
        _print_made(made)
    for outdated in gone:
        out.print(f"{'Would delete' if dry_run else 'Deleted'} {outdated.folder}", markup=False)


def summary(backup: Backup) -> dict[str, Any]:
    """Return what a program wants to know of a backup."""
    manifest = backup.manifest
    return {
        "folder": backup.folder,
        "database": manifest.database,
        "made_at": manifest.made_at,
        "revisions": manifest.revisions,
        "bytes": manifest.bytes,
        "rows": manifest.rows,
        "proved": manifest.proved,
        "server_version": manifest.surroundings.version,
    }


def _print_made(made: Backup) -> None:
    manifest = made.manifest
    rows = sum(manifest.rows.values())
    how = "restored, compared and found the same" if manifest.proved else "not proved"
    out.print(f"{made.folder}", markup=False)
    held = f"{number(rows, 'row')} in {number(len(manifest.rows), 'table')}"
    out.print(f"{held}, {decimal(manifest.bytes)}: {how}.")


def _print_json(place: Path, found: Sequence[Backup]) -> None:
    print_json({"folder": place, "backups": [summary(backup) for backup in found]})


def _print(place: Path, found: Sequence[Backup]) -> None:
    if not found:
        out.print(f"No backups in {place}", markup=False)
        return
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("backup", "made", "age", "revision", "size", "proved"):
        table.add_column(column, justify="right" if column == "size" else "left", no_wrap=True)
    now = datetime.now(UTC)
    for each in found:
        manifest = each.manifest
        table.add_row(
            each.folder.name,
            f"{manifest.made_at.astimezone():%Y-%m-%d %H:%M}",
            age(now - manifest.made_at),
            ", ".join(manifest.revisions) or "none",
            decimal(manifest.bytes),
            "yes" if manifest.proved else "no",
        )
    out.print(f"In {place}:", markup=False)
    out.print(table)


def age(passed: timedelta) -> str:
    """Say how long ago, in the largest unit that fits."""
    seconds = int(passed.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{max(0, seconds)} s"
