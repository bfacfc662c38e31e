"""``nano-os structures export``: files of structures, and never half a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from api.cli.database import in_transaction
from api.cli.filters import with_filters
from api.cli.output import Json, err, of_option, out, print_json, progress

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from api.export import ExportReport, Selection
    from api.models import User
    from api.schemas.search import Query
    from nanoos.writers import Add, Writer

STDOUT = Path("-")
SHOWN = 50
"""Skipped structures that are named to a person."""


@with_filters
def export(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="PATH", help="File or folder; - is stdout.")
    ],
    query: Query,
    ids: Annotated[list[UUID] | None, typer.Argument(metavar="ID", help="Of structures.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every structure.")] = False,
    format_: Annotated[
        str | None,
        typer.Option("--format", metavar="NAME", help="As the file's name says, else cif."),
    ] = None,
    add: Annotated[
        bool, typer.Option("--add", help="Into a folder that has files already.")
    ] = False,
    sources: Annotated[
        bool, typer.Option(help="Also the publications as BibTeX, and a table of licences.")
    ] = True,
    json: Json = False,
) -> None:
    """Write structures to a file, or to a folder with one file each.

    Formats: cif, poscar, extxyz, ase-db, jsonl, parquet, optimade-jsonl. Those
    of a search that the format has no place for (such as mixed sites in POSCAR)
    are skipped and named; structures named by id are written all or not at all.
    """
    from api.errors import WrongUsage
    from api.export import writer_for

    if [bool(ids), all_, bool(query.given())].count(True) != 1:
        raise WrongUsage("Name the structures to export, say what to search for, or say --all.")
    if json and output == STDOUT:
        raise WrongUsage("The structures and the report cannot both go to standard output.")
    with of_option("--format") if format_ else nullcontext():
        writer = writer_for(output, format_)
    report = export_structures(list(ids) if ids else query, writer, output, sources, add)
    tell(report, output, along(output, writer) if sources else (), json)


def export_structures(
    selection: Selection, writer: Writer, output: Path, sources: bool = True, add: bool = False
) -> ExportReport:
    """Write what a query finds, or the structures of these ids, with a progress bar.

    Raises NotFound, NotWritten, StructureError and WrongUsage.
    """
    from api.export import count, write

    async def work(session: AsyncSession, _: User) -> ExportReport:
        total = await count(session, selection)
        with _opened(output, writer, total, sources, add) as write_one, progress() as bar:
            task = bar.add_task("Exporting", total=total)
            return await write(session, selection, write_one, lambda size: bar.advance(task, size))

    return in_transaction(work)


def along(output: Path, writer: Writer) -> Sequence[Path]:
    """Return the files that were written beside ``output``."""
    from nanoos import writers

    if output == STDOUT:
        return ()
    return writers.beside(output, writer, folder=output.is_dir())


def tell(report: ExportReport, output: Path, beside: Sequence[Path], json: bool) -> None:
    """Say what was written, and what was not."""
    if json:
        print_json({name: value for name, value in vars(report).items() if value is not None})
        return
    place, console = ("standard output", err) if output == STDOUT else (output, out)
    console.print(f"[green]{report.written} written[/] to ", end="")
    with_ = f" with {' and '.join(path.name for path in beside)}" if beside else ""
    console.print(f"{place}{with_}, {report.n_skipped} skipped", markup=False)
    for skipped in report.skipped[:SHOWN]:
        named = " ".join(filter(None, (skipped["reduced_formula"], skipped["name"])))
        err.print(f"  {skipped['id']} {named}: {skipped['reason']}", markup=False)
    if report.n_skipped > SHOWN:
        err.print(f"  and {report.n_skipped - SHOWN} more")


@contextmanager
def _opened(output: Path, writer: Writer, total: int, sources: bool, add: bool) -> Iterator[Add]:
    from api.export import target

    opened = (
        _standard_output(writer, total)
        if output == STDOUT
        else target(output, writer, several=total != 1, sources=sources, add=add)
    )
    with opened as write_one:
        yield write_one


@contextmanager
def _standard_output(writer: Writer, total: int) -> Iterator[Add]:
    """Write to standard output; whoever stops reading it early has had enough."""
    from api.errors import WrongUsage
    from nanoos.writers import TextWriter

    if not isinstance(writer, TextWriter):
        raise WrongUsage(f"Files of the format {writer.name} are no text: name a file by -o.")
    if writer.one_per_file and total != 1:
        raise WrongUsage(f"Several {writer.name.upper()} files need a folder: name one by -o.")
    try:
        yield writer.into(sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        sys.exit(141)  # as if by SIGPIPE
