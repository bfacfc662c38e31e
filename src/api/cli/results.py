"""``nano-os results``: numbers, and where they come from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from api.cli.crating import crate
from api.cli.database import in_transaction
from api.cli.energies import best, eos
from api.cli.importing_runs import import_
from api.cli.output import Json, err, print_json, show_fields, show_table
from api.cli.reproducing import compare, reproduce
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
        detail = _provenance(detail)
    elif json:
        detail["data"] = arrays.restore(detail["data"], Artifacts(settings().artifacts))
    if json:
        print_json(detail)
        return
    if provenance:
        _show_provenance(detail)
        return
    quantities = detail.pop("quantities")
    show_table(
        f"{detail['workflow'] or detail['engine']} of {detail['reduced_formula']}"
        f" {detail['structure_name'] or ''}",
        ["quantity", "value"],
        [(name, value) for name, value in quantities.items() if value is not None],
    )
    show_fields(detail)


def _draw(result: ResultDetail, file: Path) -> None:
    from api.artifacts import Artifacts
    from api.settings import settings
    from api.web.pictures import picture
    from nanoos.writers.files import write_text

    write_text(file, picture(result, Artifacts(settings().artifacts)))
    err.print(f"The picture is {file}.", markup=False)


def _provenance(detail: dict[str, Any]) -> dict[str, Any]:
    """Return what says where a result comes from: of an imported one, its files."""
    names = (
        "id job_id workflow engine origin project source_name structure_id output_structure_id"
        " continues_id method method_sha256 attempts artifacts created_at"
    )
    known = {name: detail[name] for name in names.split() if detail[name] not in (None, [])}
    return {**known, **detail["provenance"]}


def _show_provenance(document: dict[str, Any]) -> None:
    files = document.pop("files", None)
    artifacts = document.pop("artifacts", [])
    place = document.pop("place", None)
    if place is not None:
        file = document.pop("place_in", None)
        document["last_step_at"] = f"line or frame {place}" + (f" of {file}" if file else "")
    attempts = document.pop("attempts", [])
    show_fields(document)
    if files:
        show_table("Read from", ["file", "sha256"], sorted(files.items()))
    if attempts:
        columns = ["attempt", "worker", "started", "ended", "outcome", "error"]
        show_table("Tried", columns, [list(one.values()) for one in attempts])
    if artifacts:
        columns = ["artifact", "steps", "bytes", "sha256"]
        keys = ("name", "steps", "size_bytes", "sha256")
        rows = [[one.get(key) for key in keys] for one in artifacts]
        show_table("Beside it", columns, rows)
