"""``nano-os structures tag``, ``publish`` and ``delete``: the care of what is there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from api.cli.database import in_transaction
from api.cli.filters import with_filters
from api.cli.output import Json, err, number, out, print_json

if TYPE_CHECKING:
    from rich.console import Console

    from api.schemas.curation import Deletion, PublishReport
    from api.schemas.search import Query

SHOWN = 20
"""Records of one kind that are listed to a person."""

Ids = Annotated[list[UUID] | None, typer.Argument(metavar="ID", help="Of structures.")]
All = Annotated[bool, typer.Option("--all", help="All that are yours.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


@with_filters
def tag(
    query: Query,
    ids: Ids = None,
    all_: All = False,
    add: Annotated[list[str] | None, typer.Option(metavar="TAG", help="May be repeated.")] = None,
    remove: Annotated[
        list[str] | None, typer.Option(metavar="TAG", help="May be repeated.")
    ] = None,
    json: Json = False,
) -> None:
    """Tag your structures: those named by id, or all that a search finds."""
    from api.services import curation

    chosen = selection(query, ids, all_=all_)
    report = in_transaction(
        lambda session, owner: curation.tag(
            session, chosen, owner, add=add or (), remove=remove or ()
        )
    )
    if json:
        print_json(report.model_dump())
    else:
        out.print(f"[green]{report.changed} changed[/], {report.existing} already so")


@with_filters
def publish(
    query: Query,
    ids: Ids = None,
    all_: All = False,
    licence_: Annotated[
        str | None,
        typer.Option(
            "--licence", metavar="SPDX", help="Of those that state none, such as CC-BY-4.0."
        ),
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Let everyone read your structures. Each needs a licence; all are published, or none.

    A structure whose content is public already stays private, and is told.
    """
    from api.services import curation

    chosen = selection(query, ids, all_=all_)
    report = in_transaction(
        lambda session, owner: curation.publish(
            session, chosen, owner, licence=licence_, dry_run=dry_run
        )
    )
    if json:
        print_json(report.model_dump(mode="json"))
    else:
        _tell_published(report, dry_run=dry_run)


def _tell_published(report: PublishReport, *, dry_run: bool) -> None:
    what = "would be published" if dry_run else "published"
    out.print(f"[green]{report.published} {what}[/], {report.existing} already public")
    for twin in report.twins[:SHOWN]:
        err.print(
            f"  {twin.id} stays private: {twin.public_id} is the same, and public", markup=False
        )
    if len(report.twins) > SHOWN:
        err.print(f"  and {len(report.twins) - SHOWN} more; --json has them all")


@with_filters
def delete(
    query: Query,
    ids: Ids = None,
    all_: All = False,
    cascade: Annotated[
        bool, typer.Option("--cascade", help="Also what rests on them: it is listed first.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Delete your structures: all, or none where a job, result or structure rests on one.

    Embeddings and similarities go along. With --cascade so do jobs, their results, and
    structures that were made from them.
    """
    from api.errors import Conflict
    from api.services import deletion

    chosen = selection(query, ids, all_=all_)
    planned = in_transaction(lambda session, owner: deletion.plan(session, chosen, owner))
    if not json or planned.dependents:
        _tell_planned(planned, out if dry_run and not json else err)
    if planned.dependents and not cascade:
        is_one = len(planned.dependents) == 1
        raise Conflict(
            f"{_counted(planned)} {'rests' if is_one else 'rest'} on what is to be deleted, and "
            f"nothing was. With --cascade {'it is' if is_one else 'they are'} deleted too."
        )
    if not dry_run and (yes or _confirmed(planned)):
        planned = in_transaction(
            lambda session, owner: deletion.delete_(session, chosen, owner, planned)
        )
        if not json:
            out.print(f"[green]{len(planned.structures)} deleted[/]")
    if json:
        print_json(planned.model_dump(mode="json"))


def selection(query: Query, ids: list[UUID] | None, *, all_: bool) -> Query:
    """Return the query that the ids, the filters or ``--all`` say. Raises WrongUsage."""
    from api.errors import WrongUsage

    if [bool(ids), all_, bool(query.given())].count(True) != 1:
        raise WrongUsage("Name structures by their ids, say what to search for, or say --all.")
    return query.model_copy(update={"ids": tuple(ids)}) if ids else query


def _tell_planned(planned: Deletion, console: Console) -> None:
    console.print(f"{number(len(planned.structures), 'structure')} to be deleted")
    if planned.public:
        console.print(
            f"[yellow]{planned.public} of them public:[/] no longer to be read by anyone, and no "
            "longer found by OPTIMADE; who has the address of one gets 404."
        )
    for kind in ("structure", "job", "result"):
        dependents = [one for one in planned.dependents if one.kind == kind]
        for one in dependents[:SHOWN]:
            console.print(f"  with {kind} {one.id}: {one.description}", markup=False)
        if len(dependents) > SHOWN:
            console.print(f"  and {len(dependents) - SHOWN} more of these")


def _counted(planned: Deletion) -> str:
    """Say how many there are of each kind: ``2 jobs, 1 result``."""
    numbers = [(kind, len(planned.of_kind(kind))) for kind in ("structure", "job", "result")]
    return ", ".join(number(n, kind) for kind, n in numbers if n)


def _confirmed(planned: Deletion) -> bool:
    from api.errors import WrongUsage

    if not planned.structures:
        return False
    if not sys.stdin.isatty():
        raise WrongUsage("Nobody can be asked here: say --yes to delete them.")
    return typer.confirm("Delete all this for good?", err=True)
