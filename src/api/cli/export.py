"""Writing structures to files: all into one, or one each, and never half a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from api.cli.database import in_transaction
from api.cli.output import progress

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from api.models import User
    from nanoos.writers import Add, Record, Writer

STDOUT = Path("-")


@dataclass
class ExportReport:
    """How many structures were written, and which the format has no place for."""

    written: int = 0
    skipped: list[dict[str, Any]] = field(default_factory=list)


def export_structures(
    ids: Sequence[UUID] | None, format_: str | None, output: Path, *, sources: bool = True
) -> ExportReport:
    """Write these structures, or all in view where ``ids`` is None.

    ``output`` is a file; where it is a folder, or the format holds one structure
    a file and there are several, it becomes a folder with one file each. ``-`` is
    standard output. Without ``format_`` the file's name decides.
    Of all structures those the format has no place for are skipped; named ones
    are written all or not at all. Raises NotFound, NotWritten, StructureError,
    PluginNotFound and WrongUsage.
    """
    from api.errors import WrongUsage
    from nanoos.writers import format_of, writer_of

    writer = writer_of(format_ or format_of(output))
    if not output.parent.is_dir():
        raise WrongUsage(f"There is no folder {output.parent}.")

    async def work(session: AsyncSession, _: User) -> ExportReport:
        return await _export(session, ids, writer, output, sources)

    return in_transaction(work)


async def _export(
    session: AsyncSession, ids: Sequence[UUID] | None, writer: Writer, output: Path, sources: bool
) -> ExportReport:
    from api.services import records, structures

    if ids is None:
        total = await structures.count(session)
        batches = records.stream(session)
    else:
        total = len(ids)
        batches = records.named(session, ids)
    report = ExportReport()
    with _opened(output, writer, total, sources) as add, progress() as bar:
        task = bar.add_task("Exporting", total=total)
        async for batch in batches:
            for record in batch:
                _add(add, record, report, all_or_none=ids is not None)
                bar.advance(task)
    return report


def _add(add: Add, record: Record, report: ExportReport, *, all_or_none: bool) -> None:
    from nanoos.errors import StructureError

    try:
        add(record)
    except StructureError as error:
        if all_or_none:
            raise StructureError(f"{record.known['id']}: {error}") from error
        report.skipped.append({"id": record.known["id"], "reason": str(error)})
    else:
        report.written += 1


@contextmanager
def _opened(output: Path, writer: Writer, total: int, sources: bool) -> Iterator[Add]:
    from api.errors import WrongUsage
    from nanoos.writers import exporting

    several = writer.one_per_file and total != 1
    if output == STDOUT:
        if several:
            raise WrongUsage(f"Several {writer.name.upper()} files need a folder: name one by -o.")
        with _standard_output(writer) as add:
            yield add
        return
    folder = output.is_dir() or several
    if folder and output.is_file():
        raise WrongUsage(f"{output} is a file; several {writer.name.upper()} files need a folder.")
    with exporting(output, writer, folder=folder, sources=sources) as add:
        yield add


@contextmanager
def _standard_output(writer: Writer) -> Iterator[Add]:
    """Write to standard output; whoever stops reading it early has had enough."""
    from api.errors import WrongUsage
    from nanoos.writers import TextWriter

    if not isinstance(writer, TextWriter):
        raise WrongUsage(f"Files of the format {writer.name} are no text: name a file by -o.")
    try:
        yield writer.into(sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        sys.exit(141)  # as if by SIGPIPE
