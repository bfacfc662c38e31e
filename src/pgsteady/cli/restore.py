"""``restore``: a backup into a new database, compared there, and the switch to it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pgsteady.backup import (
    Backup,
    Recovered,
    backup_folder,
    backups,
    of_database,
    place_of,
    prove,
    recover,
)
from pgsteady.cli.backup import Folder, Jobs, On, summary
from pgsteady.cli.output import Json, out, print_json
from pgsteady.cli.progress import Shown
from pgsteady.cli.source import Source
from pgsteady.errors import BackupDamaged
from pgsteady.progress import SILENT
from pgsteady.project import Project
from pgsteady.url import EMBEDDED, parse

LATEST = "latest"


def restore(
    context: typer.Context,
    backup: Annotated[str, typer.Argument(help="Its folder or name, or: latest")],
    check: Annotated[
        bool, typer.Option("--check", help="Only prove it, on a server of its own.")
    ] = False,
    on: On = None,
    into: Annotated[
        str | None,
        typer.Option(help="Name of the new database, or URL of an empty one.", metavar="NAME|URL"),
    ] = None,
    switch: Annotated[
        bool, typer.Option("--switch", help="Then put it in the place of the one in use.")
    ] = False,
    end_sessions: Annotated[
        bool, typer.Option("--end-sessions", help="End whoever is connected, for the switch.")
    ] = False,
    no_owner: Annotated[
        bool, typer.Option("--no-owner", help="All is to belong to this role, without grants.")
    ] = False,
    jobs: Jobs = 2,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Restore a backup into a new database and compare it there; the one in use is untouched."""
    if switch and into and "://" in into:
        raise typer.BadParameter("--switch renames databases: --into is then a name, no URL.")
    if check and (into or switch):
        raise typer.BadParameter("--check restores nothing that lasts.")
    if end_sessions and not switch:
        raise typer.BadParameter("--end-sessions is for --switch.")
    if on and not check:
        raise typer.BadParameter("--on is for --check; --into says where to restore.")
    source: Source = context.obj
    project = source.project()
    chosen = find(project, (folder or backup_folder(source.ini)).absolute(), backup)
    progress = SILENT if as_json else Shown()
    if check:
        where = parse(on, "--on") if on else None
        prove(chosen, project, on=where, jobs=jobs, progress=progress)
        if as_json:
            print_json({"backup": summary(chosen), "good": True})
        else:
            out.print(f"{chosen.folder} is what was backed up.", markup=False)
        return
    done = recover(
        chosen,
        project,
        into=into,
        switch=switch,
        end_sessions=end_sessions,
        owners=not no_owner,
        jobs=jobs,
        progress=progress,
    )
    if as_json:
        name = done.database.url.database
        print_json({"backup": summary(chosen), "database": name, "kept": done.kept})
    else:
        _print(done, chosen, project)


def find(project: Project, folder: Path, named: str) -> Backup:
    """Return the backup that somebody means: a folder, a name, or the latest of the database.

    Raises:
        BackupDamaged: there is none.
    """
    if named == LATEST:
        database = place_of(project)
        if found := of_database(backups(folder), database):
            return found[0]
        raise BackupDamaged(
            f"There is no backup of {database.url.database} at {database.address} in {folder}.",
            hint="Name the backup; `backup --list` names all.",
        )
    path = Path(named)
    return Backup(path.absolute() if path.exists() else folder / named)


def _print(done: Recovered, chosen: Backup, project: Project) -> None:
    name = done.database.url.database
    if done.switched:
        kept = f" What it was is kept as {done.kept}." if done.kept else ""
        out.print(f"{name} is the backup now.{kept}", markup=False)
    else:
        out.print(f"Restored and compared as database {name}.", markup=False)
        out.print("To have the backup in the place of the one in use, restore it with --switch.")
        if done.database.source != EMBEDDED:
            out.print(
                f"Or name {name} in the URL, which comes from {done.database.source}.", markup=False
            )
    if set(chosen.manifest.revisions) != set(project.script.get_heads()):
        at = ", ".join(chosen.manifest.revisions) or "no revision"
        out.print(f"It is at {at}; `alembic upgrade head` goes on from there.", markup=False)
