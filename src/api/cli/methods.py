"""``nano-os methods``: how numbers were calculated, and which may be compared."""

from __future__ import annotations

from typing import Annotated

import typer

from api.cli.database import in_transaction
from api.cli.output import Json, out, print_json, show_fields, show_table
from pgsteady.cli.commands import Group

app = typer.Typer(
    cls=Group, no_args_is_help=True, help="How numbers were calculated, and which may be compared."
)
Id = Annotated[str, typer.Argument(metavar="ID", help="The method's hash, or its beginning.")]
OtherId = Annotated[str, typer.Argument(metavar="OTHER", help="That of the other.")]


@app.command(name="list")
def list_(json: Json = False) -> None:
    """List the methods, with how many of your results each has.

    Energies may be compared within a group; a method may be in several.
    """
    from api.services import methods

    found = in_transaction(lambda session, _: methods.list_(session))
    if json:
        print_json({"methods": [summary.model_dump(mode="json") for summary in found]})
        return
    show_table(
        None,
        ["group", "id", "method", "k spacing (1/Å)", "results", "elements"],
        [
            (
                ", ".join(map(str, one.groups)),
                one.sha256[: methods.SHORT],
                one.name,
                one.k_spacing_per_a and f"{one.k_spacing_per_a:.3f}",
                one.results,
                " ".join(one.elements),
            )
            for one in found
        ],
    )


@app.command()
def show(id_: Id, json: Json = False) -> None:
    """Show all that a method states."""
    from api.services import methods

    detail = in_transaction(lambda session, _: methods.show(session, id_)).model_dump(mode="json")
    if json:
        print_json(detail)
    else:
        del detail["groups"]  # of a list
        show_fields(detail | detail.pop("document"))


@app.command()
def diff(one: Id, other: OtherId, json: Json = False) -> None:
    """Say how two methods differ, and what each difference breaks."""
    from api.services import methods

    found = in_transaction(lambda session, _: methods.diff(session, one, other))
    if json:
        print_json(found.model_dump(mode="json"))
        return
    shared = {
        "exact": "They are one method.",
        "comparable": "Their energies may be compared.",
        "same functional": "They put in the same physics; total energies cannot be compared.",
        None: "They have nothing in common that would make energies comparable.",
    }
    out.print(shared[found.level])
    if found.differences:
        show_table(
            None,
            ["what", found.one[: methods.SHORT], found.other[: methods.SHORT], "breaks", "because"],
            [(d.what, d.one, d.other, d.breaks, d.reason) for d in found.differences],
        )
