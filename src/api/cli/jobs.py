"""``nano-os jobs``: ask for calculations, and see how they fare."""

from __future__ import annotations

import json as json_
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from api.cli.database import in_transaction
from api.cli.output import Json, err, of_option, print_json, show_document, show_table
from pgsteady.cli.commands import Group

if TYPE_CHECKING:
    from api.schemas.simulation import SubmitReport

app = typer.Typer(
    cls=Group, no_args_is_help=True, help="Calculations: ask for them, and see how they fare."
)


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
        typer.Option(metavar="NAME=VALUE", help="May be repeated; see `nano-os workflows show`."),
    ] = None,
    engine_param: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Of the engine; may be repeated."),
    ] = None,
    priority: Annotated[
        int, typer.Option(min=-100, max=100, help="Each point is worth 10 minutes of waiting.")
    ] = 0,
    json: Json = False,
) -> None:
    """Queue a workflow for structures; what is there already is not queued twice.

    Structures named by id are submitted all or not at all.
    """
    from api.errors import WrongUsage
    from api.services import simulations
    from nanoos import plugins

    if bool(structures) == all_:
        raise WrongUsage("Name the structures to submit, or say --all.")
    if engine is not None:
        with of_option("--engine"):
            plugins.get("nanoos.engines", engine)
    parameters = dict(_parameter("--param", text) for text in param or [])
    of_engine = dict(_parameter("--engine-param", text) for text in engine_param or [])
    report = in_transaction(
        lambda session, owner: simulations.submit(
            session,
            workflow,
            None if all_ else structures,
            owner=owner,
            engine=engine,
            parameters=parameters,
            engine_parameters=of_engine,
            priority=priority,
        )
    )
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


def _parameter(option: str, text: str) -> tuple[str, Any]:
    """Split NAME=VALUE; a value that is JSON (a number, true, a list) is taken as such."""
    from api.errors import WrongUsage

    name, separator, value = text.partition("=")
    if not (name and separator):
        raise WrongUsage(f"{option} {text}: write NAME=VALUE.")
    try:
        return name, json_.loads(value)
    except json_.JSONDecodeError:
        return name, value


@app.command("list")
def list_(
    status: Annotated[str | None, typer.Option(help="Only those in this status.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    json: Json = False,
) -> None:
    """List the jobs, the newest first."""
    from api.errors import WrongUsage
    from api.models.simulation_job import STATUSES
    from api.services import simulations

    if status is not None and status not in STATUSES:
        raise WrongUsage(f"--status {status} is none of {', '.join(STATUSES)}.")
    rows = in_transaction(lambda session, _: simulations.list_(session, status, limit))
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
                row.status,
                f"{row.progress:.0%}",
                row.error or row.progress_message,
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
