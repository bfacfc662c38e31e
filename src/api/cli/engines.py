"""``nano-os engines``: what can calculate energies, forces and stress."""

from __future__ import annotations

from inspect import cleandoc
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.output import Json, out, print_json, show_fields, show_table
from pgsteady.cli.commands import Group

if TYPE_CHECKING:
    from nanoos.engines import Engine

app = typer.Typer(
    cls=Group, no_args_is_help=True, help="What calculates energies, forces and stress."
)


@app.command("list")
def list_(json: Json = False) -> None:
    """List the engines, and which of them can run here."""
    from nanoos import plugins
    from nanoos.engines import make

    documents = [_document(make(name)) for name in plugins.load("nanoos.engines")]
    if json:
        print_json({"engines": documents})
        return
    show_table(
        None,
        ["name", "version", "elements", "gives", "runs here"],
        [
            (
                one["name"],
                one["version"],
                len(one["elements"]),
                ", ".join(one["properties"]),
                one["unavailable"] or "yes",
            )
            for one in documents
        ],
    )


@app.command()
def show(name: Annotated[str, typer.Argument(metavar="ENGINE")], json: Json = False) -> None:
    """Show an engine: its elements, properties, citation, licence and parameters."""
    from nanoos.engines import make

    engine = make(name)
    document = _document(engine)
    if json:
        print_json(document)
        return
    schema = document.pop("parameters_schema")
    show_fields(document)
    out.print(f"\n{cleandoc(type(engine).__doc__ or '')}\n", markup=False)
    show_table(
        "Parameters (--engine-param NAME=VALUE)",
        ["name", "default", "what"],
        [
            (name, one.get("default"), one.get("description"))
            for name, one in schema.get("properties", {}).items()
        ],
    )


def _document(engine: Engine) -> dict[str, Any]:
    """Return what an engine says of itself with its defaults; null for a version not here."""
    from nanoos.engines import UNITS

    unavailable = engine.probe()
    return {
        "name": engine.name,
        "version": None if unavailable else engine.version,
        "potential": engine.potential,
        "licence": engine.licence,
        "elements": sorted(engine.elements),
        "properties": {one: UNITS[one] for one in UNITS if one in engine.properties},
        "unavailable": unavailable,
        "parameters_schema": engine.parameters.model_json_schema(),
    }
