"""``nano-os jobs``: ask for calculations, and see how they fare."""

from __future__ import annotations

import json as json_
from typing import Annotated, Any
from uuid import UUID

import typer

from api.cli.database import in_transaction
from api.cli.output import Json, err, print_json, show_document, show_table

app = typer.Typer(no_args_is_help=True, help="Calculations: ask for them, and see how they fare.")


@app.command()
def submit(
    workflow: Annotated[str, typer.Argument(help="See `nano-os workflows list`.")],
    structures: Annotated[list[UUID] | None, typer.Argument(metavar="[STRUCTURE]...")] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Every imported structure that the engine can do.")
    ] = False,
    engine: Annotated[str | None, typer.Option(help="The workflow's own if not given.")] = None,
    param: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE; see `nano-os workflows show`.")
    ] = None,
    priority: Annotated[
        int, typer.Option(min=-100, max=100, help="Each point is worth 10 minutes of waiting.")
    ] = 0,
    json: Json = False,
) -> None:
    """Queue a workflow for structures; what was asked for before is not queued twice.

    Structures named by id are submitted all or not at all.
    """
    from api.errors import WrongUsage
    from api.services import simulations

    if bool(structures) == all_:
        raise WrongUsage("Name the structures to submit, or say --all.")
    parameters = dict(_parameter(text) for text in param or [])
    report = in_transaction(
        lambda session, owner: simulations.submit(
            session,
            workflow,
            None if all_ else structures,
            owner=owner,
            engine=engine,
            parameters=parameters,
            priority=priority,
        )
    )
    if json:
        print_json(report.model_dump(mode="json"))
        return
    err.print(
        f"[green]{len(report.submitted)} submitted[/], {len(report.existing)} asked for before,"
        f" {len(report.skipped)} skipped"
    )
    for id_ in report.submitted:
        typer.echo(id_)
    if report.submitted:
        err.print("Run them with `nano-os worker --drain`.")


def _parameter(text: str) -> tuple[str, Any]:
    """Split NAME=VALUE; a value that is JSON (a number, true, a list) is taken as such."""
    from api.errors import WrongUsage

    name, separator, value = text.partition("=")
    if not (name and separator):
        raise WrongUsage(f"--param {text}: write NAME=VALUE.")
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
        raise WrongUsage(f"Status {status!r} is none of {', '.join(STATUSES)}.")
    rows = in_transaction(lambda session, _: simulations.list_(session, status, limit))
    if json:
        print_json([row.model_dump(mode="json") for row in rows])
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
