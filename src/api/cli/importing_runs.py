"""``nano-os results import``: finished calculations of other programs in, from their folders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.database import transaction, with_database
from api.cli.importing import (
    Failures,
    Workers,
    bar,
    check_paths,
    checked_terms,
    print_report,
    telling_of_interruption,
    writing,
)
from api.cli.output import Json, print_json

if TYPE_CHECKING:
    from api.db import Sessions
    from api.schemas.run import RunImportReport


def import_(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH",
            help="Folders, to any depth, files and archives; - is standard input.",
        ),
    ],
    project: Annotated[str | None, typer.Option(help="What the runs were for.")] = None,
    public: Annotated[
        bool,
        typer.Option("--public", help="Everyone may read the structures; needs a licence."),
    ] = False,
    licence: Annotated[
        str | None,
        typer.Option(metavar="SPDX", help="Of the structures, such as CC-BY-4.0."),
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(metavar="TAG", help="Of structures that are new; may be repeated."),
    ] = None,
    workers: Workers = None,
    report: Failures = None,
    json: Json = False,
) -> None:
    """Import finished calculations: structures, energies, forces, methods, costs.

    Runs are known by content, also failed, unfinished and truncated ones, which
    are stored and flagged. What is there already is not stored twice. What cannot
    be read is reported, and the others go in; the exit code is then 1.
    """
    from api.errors import NotFound, WrongUsage
    from api.schemas.run import RunImportReport

    terms = checked_terms(public=public, licence=licence, tag=tag)
    if public and licence is None:
        raise WrongUsage("--public needs --licence: runs state none.")
    check_paths(paths)
    done = RunImportReport()

    async def work(sessions: Sessions) -> RunImportReport:
        from api.intake.runs import RunIntake
        from api.services.structure_import import Terms
        from api.settings import settings
        from nanoos.processes import cores
        from nanoos.runs.find import find

        async with transaction(sessions) as (_, owner):
            whose = Terms(owner.id, **terms)
        with bar(paths, recursive=True, what="runs") as show, writing(report) as write:
            intake = RunIntake(
                sessions,
                whose,
                workers or cores(),
                settings().artifacts,
                done,
                project=project,
                failed=write,
                progress=show,
            )
            return await intake.run(find(paths))

    with telling_of_interruption(done):
        with_database(work)
    if json:
        print_json(done.model_dump(mode="json", exclude_none=True))
    if not (done.imported or done.existing or done.failed):
        raise NotFound(f"No runs in {', '.join(paths)}: {done.folders} folders with files.")
    if not json:
        further = f"; {done.without_run} folders hold no run" if done.without_run else ""
        print_report(done, further)
    if done.failed:
        raise typer.Exit(1)
