"""``nano-os jobs``: ask for calculations, and see how they fare."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from api.cli.database import in_transaction
from api.cli.output import Json, err, of_option, out, print_json, show_document, show_table
from api.cli.parameters import combinations, parameter
from api.cli.watching import watch
from pgsteady.cli.commands import Group

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from api.models import User
    from api.schemas.simulation import JobChange, SubmitReport

    Change = Callable[[AsyncSession, list[UUID], User], Awaitable[list[JobChange]]]

app = typer.Typer(
    cls=Group, no_args_is_help=True, help="Calculations: ask for them, and see how they fare."
)

app.command()(watch)


@app.command()
def submit(
    workflow: Annotated[
        str, typer.Argument(metavar="WORKFLOW", help="See `nano-os workflows list`.")
    ],
    structures: Annotated[
        list[UUID] | None, typer.Argument(metavar="ID", help="Of structures.")
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Every imported structure that the engine can do.")
    ] = False,
    engine: Annotated[str | None, typer.Option(help="The workflow's own if not given.")] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE[,VALUE]",
            help="May be repeated; each combination is submitted. See `nano-os workflows show`.",
        ),
    ] = None,
    engine_param: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Of the engine; may be repeated."),
    ] = None,
    priority: Annotated[
        int, typer.Option(min=-100, max=100, help="Each point is worth 10 minutes of waiting.")
    ] = 0,
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Not before then, such as 2030-01-31T18:00."),
    ] = None,
    wall_time: Annotated[
        int | None, typer.Option(min=1, metavar="S", help="Seconds that one try may take.")
    ] = None,
    memory: Annotated[
        int | None, typer.Option(min=1, metavar="MB", help="Memory that its processes may take.")
    ] = None,
    nodes: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Nodes of a cluster, for it alone.")
    ] = None,
    ranks: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Processes of its parallel program, by MPI."),
    ] = None,
    max_attempts: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Tries that may end with an error that passes."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Calculate anew what is there already.")
    ] = False,
    json: Json = False,
) -> None:
    """Queue a workflow for structures; what is there already is not queued twice.

    Structures named by id are submitted all or not at all.
    """
    from api.errors import WrongUsage
    from api.services import simulations
    from api.services.simulations import Terms
    from nanoos import plugins

    if bool(structures) == all_:
        raise WrongUsage("Name the structures to submit, or say --all.")
    if engine is not None:
        with of_option("--engine"):
            plugins.get("nanoos.engines", engine)
    grid = combinations("--param", param or [])
    of_engine = dict(parameter("--engine-param", text) for text in engine_param or [])
    terms = Terms(
        priority=priority,
        not_before=None if at is None else _time(at),
        wall_time_limit_s=wall_time,
        memory_limit_mb=memory,
        max_attempts=max_attempts,
        resources=_resources(nodes, ranks),
    )

    async def work(session: AsyncSession, owner: User) -> SubmitReport:
        reports = [
            await simulations.submit(
                session,
                workflow,
                None if all_ else structures,
                owner=owner,
                engine=engine,
                parameters=parameters,
                engine_parameters=of_engine,
                terms=terms,
                fresh=fresh,
            )
            for parameters in grid
        ]
        return reduce(add, reports)

    report = in_transaction(work)
    if json:
        print_json(report.model_dump(mode="json"))
        return
    for id_ in report.submitted:
        typer.echo(id_)
    print_report(report)
    if report.submitted:
        err.print("Run them with `nano-os worker --drain`.")


def print_report(report: SubmitReport) -> None:
    """Say what a submission did, and why it skipped structures."""
    err.print(
        f"[green]{len(report.submitted)} submitted[/], {len(report.existing)} already there,"
        f" {report.skipped} skipped"
    )
    for one in report.reasons:
        err.print(f"  {one.structures}: {one.reason}", markup=False)
    if rest := report.skipped - sum(one.structures for one in report.reasons):
        err.print(f"  {rest}: other reasons")


def _resources(nodes: int | None, ranks: int | None) -> dict[str, int]:
    """Return what a job runs on, without what is not said."""
    from api.errors import WrongUsage

    if nodes is not None and (ranks or 1) < nodes:
        raise WrongUsage(f"--nodes {nodes}: say --ranks N, at least one for each node.")
    return {name: n for name, n in (("nodes", nodes), ("ranks", ranks)) if n is not None}


def _time(text: str) -> datetime:
    """Return a time as ISO 8601 writes it, here where it names no zone."""
    from api.errors import WrongUsage

    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise WrongUsage(f"--at {text}: write a time such as 2030-01-31T18:00.") from None


@app.command("list")
def list_(
    status: Annotated[str | None, typer.Option(help="Only those in this status.")] = None,
    workflow: Annotated[str | None, typer.Option(help="Only those of this workflow.")] = None,
    engine: Annotated[str | None, typer.Option(help="Only those with this engine.")] = None,
    structure: Annotated[
        UUID | None, typer.Option(metavar="ID", help="Only those of this structure.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    json: Json = False,
) -> None:
    """List the jobs, the newest first."""
    from api.errors import WrongUsage
    from api.models.simulation_job import STATUSES
    from api.services import simulations

    if status is not None and status not in STATUSES:
        raise WrongUsage(f"--status {status} is none of {', '.join(STATUSES)}.")
    rows = in_transaction(
        lambda session, _: simulations.list_(
            session, status, limit, workflow=workflow, engine=engine, structure_id=structure
        )
    )
    if json:
        print_json({"jobs": [row.model_dump(mode="json") for row in rows]})
        return
    show_table(
        None,
        ["id", "workflow", "engine", "structure", "status", "done", "what"],
        [
            (
                row.id,
                row.workflow,
                row.engine,
                " ".join(filter(None, [row.reduced_formula, row.structure_name])),
                row.status if row.is_converged is not False else f"{row.status}, unconverged",
                f"{row.progress:.0%}" if row.workflow else None,
                row.error or row.progress_message or row.source_name,
            )
            for row in rows
        ],
    )


@app.command()
def show(id_: Annotated[UUID, typer.Argument(metavar="ID")], json: Json = False) -> None:
    """Show all that is known of one job."""
    from api.services import simulations

    detail = in_transaction(lambda session, _: simulations.show(session, id_))
    show_document(detail.model_dump(mode="json"), as_json=json)


@app.command()
def explain(id_: Annotated[UUID, typer.Argument(metavar="ID")], json: Json = False) -> None:
    """Say why a job waits, what it is doing, or how it failed, and what to do."""
    from api.services import explanations

    said = in_transaction(lambda session, _: explanations.explain(session, id_))
    if json:
        print_json(said.model_dump(mode="json"))
        return
    out.print(f"{said.status}: {said.reasons[0]}", markup=False)
    for reason in said.reasons[1:]:
        out.print(f"  {reason}", markup=False)
    if said.next_step:
        err.print(said.next_step, markup=False)


Ids = Annotated[list[UUID] | None, typer.Argument(metavar="ID", help="Of jobs.")]
All = Annotated[bool, typer.Option("--all", help="All of yours that can be.")]


@app.command()
def cancel(ids: Ids = None, all_: All = False, json: Json = False) -> None:
    """End jobs; a running one is killed by its worker within seconds."""
    from api.services import control

    _change(control.cancel, control.CANCELLABLE - {"cancelled"}, ids, all_, json)


@app.command()
def pause(ids: Ids = None, all_: All = False, json: Json = False) -> None:
    """Keep jobs that wait from being started, until they are resumed."""
    from api.services import control

    _change(control.pause, control.PAUSABLE - {"paused"}, ids, all_, json)


@app.command()
def resume(ids: Ids = None, all_: All = False, json: Json = False) -> None:
    """Let paused jobs be started."""
    from api.services import control

    _change(control.resume, control.RESUMABLE, ids, all_, json)


@app.command()
def retry(ids: Ids = None, all_: All = False, json: Json = False) -> None:
    """Queue jobs anew that failed or were cancelled; --all means those that failed."""
    from api.services import control

    _change(control.retry, frozenset({"failed"}), ids, all_, json)


def _change(
    change: Change, statuses: frozenset[str], ids: list[UUID] | None, all_: bool, json: bool
) -> None:
    """Change the jobs that are named, or all that are in one of the statuses."""
    from api.errors import WrongUsage
    from api.services import control

    if bool(ids) == all_:
        raise WrongUsage("Name jobs by id, or say --all.")

    async def work(session: AsyncSession, owner: User) -> list[JobChange]:
        chosen = ids or await control.ids_of(session, owner, statuses)
        return await change(session, chosen, owner)

    changes = in_transaction(work)
    if json:
        print_json({"jobs": [one.model_dump(mode="json") for one in changes]})
        return
    for one in changes:
        being_ended = change is control.cancel and one.status == "running"
        typer.echo(f"{one.id} {'is being ended' if being_ended else one.status}")
