"""``nano-os results``: numbers, and where they come from."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

from api.cli.database import in_transaction
from api.cli.energies import best, eos
from api.cli.output import Json, print_json, show_fields, show_table
from pgsteady.cli.commands import Group

app = typer.Typer(cls=Group, no_args_is_help=True, help="Numbers, and where they come from.")

app.command()(best)
app.command()(eos)


@app.command()
def show(
    id_: Annotated[UUID, typer.Argument(metavar="ID", help="Of the result or of its job.")],
    json: Json = False,
) -> None:
    """Show a result with its method and provenance."""
    from api.services import results

    detail = in_transaction(lambda session, _: results.show(session, id_)).model_dump(mode="json")
    if json:
        print_json(detail)
        return
    quantities = detail.pop("quantities")
    show_table(
        f"{detail['workflow']} of {detail['reduced_formula']} {detail['structure_name'] or ''}",
        ["quantity", "value"],
        [(name, value) for name, value in quantities.items() if value is not None],
    )
    show_fields(detail)
