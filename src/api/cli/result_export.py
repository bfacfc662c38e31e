"""``nano-os results export``: results with the structures that they belong to."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.export import along, export_structures, tell
from api.cli.output import Json, of_option
from api.cli.result_filters import All, Ids, chosen, with_result_filters

if TYPE_CHECKING:
    from api.schemas.results import ResultQuery


@with_result_filters
def export(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="File; - is stdout.")
    ],
    query: ResultQuery,
    ids: Ids = None,
    all_: All = False,
    format_: Annotated[
        str | None, typer.Option("--format", metavar="NAME", help="As the file's name says.")
    ] = None,
    sources: Annotated[
        bool, typer.Option(help="Also the publications as BibTeX, and a table of licences.")
    ] = True,
    json: Json = False,
) -> None:
    """Write results to a file: energies, forces, stress, method and provenance.

    Formats: extxyz, ase-db (both as ASE has them), jsonl, parquet (with everything). Each result
    comes with the structure that its numbers belong to.
    """
    from api.errors import WrongUsage
    from api.export import RESULT_FORMATS, writer_for

    wanted = chosen(query, ids, all_=all_)
    with of_option("--format") if format_ else nullcontext():
        writer = writer_for(output, format_)
    if writer.name not in RESULT_FORMATS:
        raise WrongUsage(
            f"{writer.name} has no place for results; choose by --format or the file's name: "
            f"{', '.join(RESULT_FORMATS)}."
        )
    report = export_structures(wanted, writer, output, sources)
    tell(report, output, along(output, writer) if sources else (), json)
