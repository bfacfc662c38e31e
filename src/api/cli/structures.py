"""``nano-os structures``: bring crystals in, look at them, take them out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from api.cli.database import in_transaction, transaction, with_database
from api.cli.output import Json, err, print_json, progress, show_document, show_table
from api.cli.search import search

if TYPE_CHECKING:
    from api.db import Sessions
    from api.schemas.structure import FailedFile, ImportReport

app = typer.Typer(no_args_is_help=True, help="Crystals and molecules: in, out, and alike.")

app.command()(search)

BATCH = 500
"""Structures stored in one transaction."""


@app.command("import")
def import_(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders.")],
    recursive: Annotated[
        bool, typer.Option("--recursive", help="Also look into folders of folders.")
    ] = False,
    public: Annotated[bool, typer.Option("--public", help="Everyone may read them.")] = False,
    json: Json = False,
) -> None:
    """Import structure files: CIF, POSCAR, extended XYZ.

    What is there already is not stored twice. A file that cannot be read is
    reported, and the others go in; the exit code is then 1.
    """
    report = import_files(list(find_files(paths, recursive)), public=public)
    if json:
        print_json(report.model_dump(mode="json", exclude_none=True))
    else:
        print_report(report)
    if report.failed:
        raise typer.Exit(1)


def find_files(paths: list[Path], recursive: bool) -> Iterator[Path]:
    """Yield the files that ``paths`` name, those of a folder in order; WrongUsage if there is none.

    Hidden files in folders are passed over.
    """
    from api.errors import WrongUsage

    for path in paths:
        if path.is_dir():
            found = path.rglob("*") if recursive else path.glob("*")
            yield from sorted(f for f in found if f.is_file() and not f.name.startswith("."))
        elif path.exists():
            yield path
        else:
            raise WrongUsage(f"There is no file or folder {path}.")


def import_files(files: list[Path], *, public: bool = False) -> ImportReport:
    """Read, analyse and store the files with a progress bar; return what came of it."""

    async def work(sessions: Sessions) -> ImportReport:
        return await _import(sessions, files, "public" if public else "private")

    return with_database(work)


async def _import(sessions: Sessions, files: list[Path], visibility: str) -> ImportReport:
    from api.schemas.structure import ImportReport
    from api.services.structure_import import import_ as store
    from api.services.structure_import import read_candidates
    from nanoos.errors import NanoError

    report = ImportReport()
    batch = []
    with progress() as bar:
        task = bar.add_task("Importing", total=len(files))
        for place, file in enumerate(files, 1):
            try:
                batch += read_candidates(file)
            except NanoError as error:
                report.failed.append(_failed(file, error))
            if batch and (len(batch) >= BATCH or place == len(files)):
                async with transaction(sessions) as (session, owner):
                    stored = await store(session, batch, owner=owner, visibility=visibility)
                new = sum(one.is_new for one in stored)
                report.imported += new
                report.existing += len(stored) - new
                batch = []
            bar.update(task, completed=place)
    return report


def _failed(file: Path, error: Exception) -> FailedFile:
    from api.schemas.structure import FailedFile

    return FailedFile(file=str(file), error=str(error), line=getattr(error, "line", None))


def print_report(report: ImportReport) -> None:
    """Print what an import did, the failed files last."""
    err.print(
        f"[green]{report.imported} imported[/], {report.existing} there already,"
        f" {'[red]' if report.failed else ''}{len(report.failed)} failed"
        f"{'[/]' if report.failed else ''}"
    )
    for failed in report.failed:
        place = f":{failed.line}" if failed.line else ""
        err.print(f"  {failed.file}{place}: {failed.error}", markup=False)


@app.command("list")
def list_(
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    json: Json = False,
) -> None:
    """List the structures by formula."""
    from api.services import structures

    rows = in_transaction(lambda session, _: structures.list_(session, limit))
    if json:
        print_json([row.model_dump(mode="json") for row in rows])
        return
    show_table(
        None,
        ["id", "formula", "name", "space group", "sites", "V (Å³)", "origin", "source"],
        [
            (
                row.id,
                row.reduced_formula,
                row.name,
                row.space_group_symbol,
                row.number_of_sites,
                row.volume_a3 and round(row.volume_a3, 3),
                row.origin,
                row.source_name,
            )
            for row in rows
        ],
    )


@app.command()
def show(id_: Annotated[UUID, typer.Argument(metavar="ID")], json: Json = False) -> None:
    """Show all that is known of one structure."""
    from api.services import structures

    detail = in_transaction(lambda session, _: structures.show(session, id_))
    show_document(detail.model_dump(mode="json"), as_json=json)


@app.command()
def export(
    output: Annotated[Path, typer.Option("-o", "--output", help="File, or folder.")],
    ids: Annotated[list[UUID] | None, typer.Argument(metavar="[ID]...")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every structure.")] = False,
    format_: Annotated[str, typer.Option("--format", help="cif, extxyz or poscar.")] = "cif",
    json: Json = False,
) -> None:
    """Write structures to PATH: a file, or a folder for one file each.

    With --all those the format has no place for (such as mixed sites in POSCAR)
    are skipped and named; structures named by id are written all or not at all.
    """
    from api.cli.export import export_structures
    from api.errors import WrongUsage

    if bool(ids) == all_:
        raise WrongUsage("Name the structures to export, or say --all.")
    report = export_structures(None if all_ else list(ids or []), format_, output)
    if json:
        print_json(vars(report))
        return
    err.print(f"[green]{report.written} written[/] to ", end="")
    err.print(f"{output}, {len(report.skipped)} skipped", markup=False)
    for skipped in report.skipped:
        err.print(f"  {skipped['id']}: {skipped['reason']}", markup=False)


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
        print_json([row.model_dump(mode="json") for row in rows])
        return
    show_table(
        None,
        ["id", "formula", "name", "space group", "distance"],
        [
            (row.id, row.reduced_formula, row.name, row.space_group_symbol, f"{row.distance:.4f}")
            for row in rows
        ],
    )
