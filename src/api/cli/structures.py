"""``nano-os structures``: bring crystals in, look at them, take them out."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

from api.cli.curation import delete, publish, tag
from api.cli.database import in_transaction
from api.cli.duplicates import duplicates, sources
from api.cli.export import export
from api.cli.importing import import_
from api.cli.output import Json, print_json, show_document, show_table
from api.cli.reanalysing import reanalyse
from api.cli.search import search
from pgsteady.cli.commands import Group

app = typer.Typer(
    cls=Group, no_args_is_help=True, help="Crystals and molecules: in, out, and alike."
)

app.command("import")(import_)
app.command()(reanalyse)
app.command()(search)
app.command("list", help="List structures: another name of search.")(search)
app.command()(export)
app.command()(tag)
app.command()(publish)
app.command()(delete)
app.command()(duplicates)
app.command()(sources)


@app.command()
def show(id_: Annotated[UUID, typer.Argument(metavar="ID")], json: Json = False) -> None:
    """Show all that is known of one structure."""
    from api.services import structures

    detail = in_transaction(lambda session, _: structures.show(session, id_))
    show_document(detail.model_dump(mode="json"), as_json=json)


@app.command()
def similar(
    id_: Annotated[UUID, typer.Argument(metavar="ID")],
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="How many.")] = 10,
    json: Json = False,
) -> None:
    """Show the structures nearest to one, by embedding."""
    from api.services import embeddings

    space = embeddings.space(embeddings.embedder())
    rows = in_transaction(lambda session, _: embeddings.nearest(session, id_, space, k))
    if json:
        print_json({"structures": [row.model_dump(mode="json") for row in rows]})
        return
    show_table(
        None,
        ["id", "formula", "name", "space group", "distance"],
        [
            (
                row.id,
                row.reduced_formula,
                row.name,
                row.space_group_symbol_at_0_1,
                f"{row.distance:.4f}",
            )
            for row in rows
        ],
    )
