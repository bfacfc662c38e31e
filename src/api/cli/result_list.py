"""``nano-os results list`` and ``delete``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.curation import DryRun
from api.cli.database import in_transaction
from api.cli.output import Json, err, number, out, print_json, show_table
from api.cli.result_filters import All, Ids, chosen, with_result_filters
from api.cli.search import next_page

if TYPE_CHECKING:
    from rich.console import Console

    from api.schemas.results import ResultDeletion, ResultPage, ResultQuery, ResultRow

_SHORT = {"energy_ev_per_atom": "eV/atom"}
SHOWN = 20
"""Jobs that are listed to a person before they are deleted."""


@with_result_filters
def list_(
    query: ResultQuery,
    sort: Annotated[
        str | None,
        typer.Option(metavar="COLUMN[:desc]", help="A quantity, created_at or wall_time_s."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many on a page.")] = 50,
    after: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="Begin behind that place.")
    ] = None,
    json: Json = False,
) -> None:
    """List results, the newest first; all the options given must hold.

    What is said of structures is said of the one that the numbers belong to.
    """
    from api.services import result_search

    order = result_search.NEWEST_FIRST if sort is None else result_search.read_sort(sort)
    page = in_transaction(
        lambda session, _: result_search.find(session, query, sort=order, after=after, limit=limit)
    )
    if json:
        print_json(
            {
                "count": page.count,
                "after": page.after,
                "results": [row.model_dump(mode="json") for row in page.rows],
            }
        )
        return
    _show(page, [*query.structures.quantities, *([order.column] if sort else [])])


def _show(page: ResultPage, asked: list[str]) -> None:
    names = [name for name in dict.fromkeys(["energy_ev_per_atom", *asked]) if name in _known(page)]
    projects = ["project"] if len({row.project for row in page.rows}) > 1 else []
    if page.rows:
        shown = [_SHORT.get(name, name) for name in names]
        show_table(
            None,
            ["id", "formula", "of", "workflow", "method", *shown, "converged", *projects],
            [
                (
                    row.id,
                    row.reduced_formula,
                    _of(row),
                    row.workflow,
                    f"{row.method} ({row.method_sha256[:6]})",
                    *(_rounded(row.quantities[name]) for name in names),
                    "yes" if row.is_converged else "no",
                    *(row.project for _ in projects),
                )
                for row in page.rows
            ],
        )
    err.print(f"[green]{number(page.count, 'result')}[/]", end="")
    err.print(f", {len(page.rows)} shown" if page.after else "")
    if page.after:
        err.print(f"More: {next_page(page.after)}", markup=False)


def _of(row: ResultRow) -> str | None:
    """Return the end of the folder's name that a run came from, or the structure's name."""
    return "/".join(row.source_name.split("/")[-2:]) if row.source_name else row.structure_name


def _known(page: ResultPage) -> set[str]:
    return set(page.rows[0].quantities) if page.rows else set()


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


@with_result_filters
def delete(
    query: ResultQuery,
    ids: Ids = None,
    all_: All = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Delete your results with their jobs: all that are named or found, or none.

    Structures stay. Files that no result has any more go with artifacts gc.
    """
    from api.services import result_deletion

    wanted = chosen(query, ids, all_=all_)
    planned = in_transaction(lambda session, owner: result_deletion.plan(session, wanted, owner))
    if not json:
        _tell_planned(planned, out if dry_run else err)
    if not dry_run and (yes or _confirmed(planned)):
        planned = in_transaction(
            lambda session, owner: result_deletion.delete_(session, wanted, owner, planned)
        )
        if not json:
            out.print(f"[green]{len(planned.jobs)} deleted[/]")
    if json:
        print_json(planned.model_dump(mode="json"))


def _tell_planned(planned: ResultDeletion, console: Console) -> None:
    console.print(f"{number(len(planned.jobs), 'job')} to be deleted, with their results")
    for one in planned.jobs[:SHOWN]:
        console.print(f"  {one.result_id or one.job_id}: {one.description}", markup=False)
    if len(planned.jobs) > SHOWN:
        console.print(f"  and {len(planned.jobs) - SHOWN} more")
    if planned.continued:
        console.print(f"{number(planned.continued, 'run')} that continue them will not say so")
    if planned.artifacts:
        console.print(f"{number(planned.artifacts, 'artifact')} that no other result has")


def _confirmed(planned: ResultDeletion) -> bool:
    from api.errors import WrongUsage

    if not planned.jobs:
        return False
    if not sys.stdin.isatty():
        raise WrongUsage("Nobody can be asked here: say --yes to delete them.")
    return typer.confirm("Delete all this for good?", err=True)
