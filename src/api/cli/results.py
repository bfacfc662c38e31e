"""``nano-os results``: numbers, and where they come from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from api.cli.crating import crate
from api.cli.database import in_transaction
from api.cli.energies import best, eos
from api.cli.importing_runs import import_
from api.cli.output import Json, err, print_json
from api.cli.reproducing import compare, reproduce
from api.cli.result_detail import provenance_of, show_provenance, show_result
from api.cli.result_export import export
from api.cli.result_list import delete, list_
from api.cli.run_report import report
from pgsteady.cli.commands import Group

if TYPE_CHECKING:
    from api.schemas.simulation import ResultDetail

app = typer.Typer(cls=Group, no_args_is_help=True, help="Numbers, and where they come from.")

app.command()(best)
app.command()(compare)
app.command()(crate)
app.command()(delete)
app.command()(eos)
app.command()(export)
app.command("import")(import_)
app.command("list")(list_)
app.command()(report)
app.command()(reproduce)


@app.command()
def show(
    id_: Annotated[UUID, typer.Argument(metavar="ID", help="Of the result or of its job.")],
    provenance: Annotated[
        bool, typer.Option("--provenance", help="Only where it comes from, down to the files.")
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.svg",
            help="Draw there what it found: an equation of state, phonons or convergence.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Show a result with its method and provenance."""
    from api.artifacts import Artifacts
    from api.services import arrays, results
    from api.settings import settings

    found = in_transaction(lambda session, _: results.show(session, id_))
    if plot is not None:
        _draw(found, plot)
    detail = found.model_dump(mode="json")
    if provenance:
        detail = provenance_of(detail)
    elif json:
        detail["data"] = arrays.restore(detail["data"], Artifacts(settings().artifacts))
    if json:
        print_json(detail)
        return
    if provenance:
        show_provenance(detail)
    else:
        show_result(detail)


def _draw(result: ResultDetail, file: Path) -> None:
    from api.artifacts import Artifacts
    from api.settings import settings
    from api.web.pictures import picture
    from nanoos.writers.files import write_text

    write_text(file, picture(result, Artifacts(settings().artifacts)))
    err.print(f"The picture is {file}.", markup=False)
