"""``nano-os workflows``: what can be computed."""

from __future__ import annotations

from inspect import cleandoc
from typing import Annotated

import typer

from api.cli.database import in_transaction
from api.cli.output import Json, out, print_json, show_fields, show_table
from pgsteady.cli.commands import Group

app = typer.Typer(
    cls=Group, no_args_is_help=True, help="What can be computed, with which parameters."
)


@app.command("list")
def list_(json: Json = False) -> None:
    """List the workflows."""
    from api.services import workflows

    rows = in_transaction(lambda session, _: workflows.list_(session))
    if json:
        print_json({"workflows": [row.model_dump(mode="json") for row in rows]})
        return
    show_table(
        None,
        ["name", "version", "engine", "what it finds"],
        [(row.name, row.version, row.engine, row.title) for row in rows],
    )


@app.command()
def show(name: Annotated[str, typer.Argument(metavar="WORKFLOW")], json: Json = False) -> None:
    """Show a workflow and its parameters."""
    from api.services import workflows

    detail = in_transaction(lambda session, _: workflows.show(session, name))
    if json:
        print_json(detail.model_dump(mode="json"))
        return
    show_fields(detail.model_dump(mode="json", include={"name", "version", "title", "engine"}))
    out.print(f"\n{cleandoc(detail.description)}\n", markup=False)
    properties = detail.parameters_schema.get("properties", {})
    show_table(
        "Parameters (--param NAME=VALUE)",
        ["name", "default", "what"],
        [
            (name, schema.get("default"), schema.get("description"))
            for name, schema in properties.items()
        ],
    )
