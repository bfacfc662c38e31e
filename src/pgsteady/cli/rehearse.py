"""``rehearse``: what would the pending revisions do to this database?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from pgsteady.cli.duration import seconds
from pgsteady.cli.output import Json, counted, out, print_finding, print_json
from pgsteady.cli.progress import Shown
from pgsteady.cli.source import Source, called_as
from pgsteady.errors import EnvironmentFault
from pgsteady.progress import SILENT
from pgsteady.project import Project
from pgsteady.rehearse import LONGEST_BLOCK_S, Rehearsal, wording
from pgsteady.rehearse import rehearse as rehearse_change
from pgsteady.rehearse.gathering import gathered
from pgsteady.rehearse.running import Step
from pgsteady.rehearse.sizes import readable

SIZES_SHOWN = 5
SHORTEST_S, LONGEST_S = 0.001, 2_147_483
"""What PostgreSQL can keep as a limit, which is 32 bits of milliseconds; 0 would be none."""


def _limit(duration: str) -> float:
    """Return the seconds of a limit that can be kept."""
    value = seconds(duration)
    if not SHORTEST_S <= value <= LONGEST_S:
        raise typer.BadParameter(
            f"{duration!r} is no limit; it has to be between {SHORTEST_S:g} s and {LONGEST_S} s."
        )
    return value


def _writable(file: Path | None) -> Path | None:
    """Refuse a report's file that cannot be written, before a rehearsal is lost with it."""
    if file is None:
        return None
    if file.is_dir():
        raise typer.BadParameter(f"{file} is a folder.")
    if not file.parent.is_dir():
        raise typer.BadParameter(f"There is no folder {file.parent}.")
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise typer.BadParameter(f"{file} may not be written.")
    return file


Target = Annotated[
    str, typer.Argument(help="Up to which revision, as for `alembic upgrade`.", metavar="TARGET")
]
BackupOption = Annotated[
    Path | None, typer.Option("--backup", help="A backup of the database as it is now.")
]
OnOption = Annotated[
    str | None,
    typer.Option(
        "--on", help="A staging copy, which keeps the change; or a replica.", metavar="URL"
    ),
]
PhysicalOption = Annotated[
    bool, typer.Option("--physical", help="Copy the server's files, by pg_basebackup.")
]
HtmlOption = Annotated[
    Path | None,
    typer.Option("--html", help="Write the report as a page.", callback=_writable),
]
MarkdownOption = Annotated[
    Path | None,
    typer.Option("--markdown", help="Write the report for a merge request.", callback=_writable),
]
LimitOption = Annotated[
    float | None,
    typer.Option(
        "--statement-timeout",
        help="How long a statement may take.",
        parser=_limit,
        metavar="DURATION",
    ),
]
LongestOption = Annotated[
    float,
    typer.Option(
        "--longest-block",
        help="How long a table may be closed.",
        parser=_limit,
        metavar="DURATION",
    ),
]


def rehearse(
    context: typer.Context,
    target: Target = "heads",
    backup: BackupOption = None,
    on: OnOption = None,
    physical: PhysicalOption = False,
    html: HtmlOption = None,
    markdown: MarkdownOption = None,
    limit_s: LimitOption = None,
    longest_block_s: LongestOption = LONGEST_BLOCK_S,
    as_json: Json = False,
) -> None:
    """Try the pending revisions on a copy: locks, times, the way back; go or no-go."""
    if backup and (on or physical):
        raise typer.BadParameter("--backup names the copy; --on or --physical would be another.")
    source: Source = context.obj
    project: Project = source.project()
    rehearsal = rehearse_change(
        project,
        target,
        backup=backup,
        on=on,
        physical=physical,
        limit_s=limit_s,
        longest_block_s=longest_block_s,
        program=called_as(context),
        progress=SILENT if as_json else Shown(),
    )
    if as_json:
        print_json(rehearsal.as_json())
    else:
        _print(rehearsal)
    for file, text in ((html, Rehearsal.html), (markdown, Rehearsal.markdown)):
        if file:
            _write(file, text(rehearsal))
    raise typer.Exit(0 if rehearsal.go else 1)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise EnvironmentFault(f"{file} cannot be written: {error.strerror}.") from error


def _print(rehearsal: Rehearsal) -> None:
    if rehearsal.forth is None:
        out.print(f"Nothing is pending: {wording.named(rehearsal.from_revisions)}.", markup=False)
        return
    for step in rehearsal.steps:
        _print_step(rehearsal, step)
    _print_sizes(rehearsal)
    for finding in gathered(rehearsal.findings):
        print_finding(finding)
    if rehearsal.lint:
        out.print("[bold]What lint says, which is no part of the verdict[/]")
    for finding in gathered(rehearsal.lint):
        print_finding(finding)
    out.print("\n[bold]The way back[/]")
    for way in rehearsal.way_back:
        out.print(f"  {way}", markup=False)
    for lost in rehearsal.lost:
        out.print(f"  lost: {lost}", markup=False, style="yellow")
    for words in (*rehearsal.basis.words, wording.CAVEATS):
        out.print(words, markup=False, style="dim")
    colour = "bold green" if rehearsal.go else "bold red"
    found = counted(rehearsal.findings)
    out.print(f"[{colour}]{escape(wording.verdict(rehearsal))}[/]; found {found}.")
    if stops := wording.lint_stops(rehearsal):
        out.print(f"{stops}.", markup=False, style="yellow")


def _print_step(rehearsal: Rehearsal, step: Step) -> None:
    out.print(f"[bold]{escape(step.revision)}[/]  {wording.duration(step.ms)}")
    for one in step.statements:
        out.print(f"  {escape(one.place)}  {escape(wording.short(one.sql))}")
        took = f"{wording.duration(one.ms)} here, about {wording.duration(rehearsal.live_ms(one))}"
        said = ", ".join([f"{took} live", *wording.effects(one)])
        out.print(f"    {said}", markup=False, style="dim")
        for lock in one.locks:
            colour = "yellow" if lock.stops_writes else "dim"
            said = f"{wording.lock(lock)}: {wording.meaning(lock)}"
            out.print(f"    {said}", markup=False, style=colour)
    out.print()


def _print_sizes(rehearsal: Rehearsal) -> None:
    before, after = rehearsal.whole_size
    out.print(f"Size: {readable(before)} before, {readable(after)} after")
    changed = [size for size in rehearsal.sizes if size.before != size.after]
    for size in changed[:SIZES_SHOWN]:
        out.print(f"  {size.name}: {readable(size.before)}, {readable(size.after)}", markup=False)
