"""Export: structures in view into a file, or into a folder of files, a batch at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.artifacts import Artifacts
from api.errors import NotFound, WrongUsage
from api.optimade.jsonl import OptimadeJsonLinesWriter
from api.schemas.results import ResultQuery
from api.schemas.search import Query
from api.services import records, result_records, result_search, search
from api.settings import settings
from nanoos.errors import PluginNotFound, StructureError
from nanoos.writers import (
    COMPRESSIONS,
    Add,
    Record,
    Writer,
    exporting,
    format_of,
    known_formats,
    writer_of,
)

OPTIMADE = OptimadeJsonLinesWriter
"""The one format whose writer is the platform's: it says what the OPTIMADE interface does."""

DEFAULT = "cif"
"""Of files whose names say nothing."""

Selection = Query | ResultQuery | Sequence[UUID]
"""What to export: all that a query finds, results for one of results; or structures by id."""

RESULT_FORMATS = ("extxyz", "ase-db", "jsonl", "parquet")
"""Those that have a place for results."""


@dataclass
class ExportReport:
    """How many structures were written, and which the format has no place for.

    The first `LISTED` of these are listed, the others only counted (None: there are none).
    """

    written: int = 0
    skipped: list[dict[str, Any]] = field(default_factory=list)
    skipped_unlisted: int | None = None

    LISTED: ClassVar[int] = 1000

    def skip(self, record: Record, reason: str) -> None:
        """Note a structure that was not written."""
        if len(self.skipped) >= self.LISTED:
            self.skipped_unlisted = (self.skipped_unlisted or 0) + 1
            return
        names = {name: record.known.get(name) for name in ("id", "name", "reduced_formula")}
        self.skipped.append(names | {"reason": reason})

    @property
    def n_skipped(self) -> int:
        """How many were not written."""
        return len(self.skipped) + (self.skipped_unlisted or 0)


def writer_for(output: Path, format_: str | None = None) -> Writer:
    """Return the writer of the format, or of the one that the file's name says, or of CIF.

    Raises PluginNotFound, and WrongUsage for a name that ends as no format does.
    """
    said_by_name = any(suffix in output.name.lower() for suffix in OPTIMADE.suffixes)
    if format_ == OPTIMADE.name or (format_ is None and said_by_name):
        return OPTIMADE()
    known = ", ".join([*known_formats(), OPTIMADE.name])
    name = format_ or format_of(output)
    if name is None:
        if (suffix := _suffix(output)) and not output.is_dir():
            raise WrongUsage(
                f"{output}: no format is written to files that end in {suffix}. Name one with "
                f"--format: {known}."
            )
        name = DEFAULT
    if name not in known_formats():
        raise PluginNotFound(f"There is no format {name!r}. Known: {known}.")
    return writer_of(name)


def _suffix(output: Path) -> str:
    """Return what a name says of its format: ``.pdf`` of ``a.pdf.gz``, nothing of ``run-2.5``."""
    name = output.name
    for compression in COMPRESSIONS:
        name = name.removesuffix(compression)
    suffix = Path(name).suffix
    return suffix if suffix[1:2].isalpha() else ""


async def count(session: AsyncSession, selection: Selection) -> int:
    """Return how many structures there are to export; of very many, an estimate.

    Raises NotFound where there is none.
    """
    if isinstance(selection, ResultQuery):
        await result_search.check(session, selection)
        if not (number := await result_search.count(session, selection)):
            raise NotFound("No result matches; nothing was written.")
        return number
    if isinstance(selection, Query):
        number = (await search.count(session, selection)).number
        if not number:
            raise NotFound("No structure matches; nothing was written.")
        return number
    return len(selection)


@contextmanager
def target(
    output: Path, writer: Writer, *, several: bool, sources: bool = True, add: bool = False
) -> Iterator[Add]:
    """Give what writes records to ``output``: a file, or a folder with a file each.

    It is a folder where there is one, or where the format holds one structure a file and there
    are ``several``. With ``add`` the folder may have files already. Raises WrongUsage and
    NotWritten.
    """
    if not output.parent.is_dir():
        raise WrongUsage(f"There is no folder {output.parent}.")
    folder = output.is_dir() or (writer.one_per_file and several)
    if folder and output.is_file():
        raise WrongUsage(f"{output} is a file; several {writer.name.upper()} files need a folder.")
    if folder and not add and output.is_dir() and any(output.iterdir()):
        raise WrongUsage(
            f"The folder {output} has files already. Name another one, or say --add (add=True) to "
            "put these beside them; those of the same structures are replaced."
        )
    with exporting(output, writer, folder=folder, sources=sources) as write_one:
        yield write_one


async def write(
    session: AsyncSession,
    selection: Selection,
    add: Add,
    done: Callable[[int], None] = lambda _: None,
) -> ExportReport:
    """Write the structures with ``add``, telling ``done`` the size of each batch.

    What the format has no place for is skipped where a query was asked; named structures are
    written all, or it raises StructureError, as it does where nothing at all is written. Raises
    NotFound before anything is written.
    """
    report = ExportReport()
    is_query = isinstance(selection, Query | ResultQuery)
    async for batch in _found(session, selection):
        for record in batch:
            _write_one(record, add, report, skips=is_query)
        done(len(batch))
    if report.skipped and not report.written:
        raise StructureError(_nothing(report))
    return report


def _found(session: AsyncSession, selection: Selection) -> AsyncIterator[list[Record]]:
    if isinstance(selection, ResultQuery):
        return result_records.stream(session, selection, Artifacts(settings().artifacts))
    if isinstance(selection, Query):
        return records.stream(session, selection)
    return records.named(session, selection)


def _nothing(report: ExportReport) -> str:
    """Say why nothing was written."""
    reasons = Counter(str(one["reason"]) for one in report.skipped)
    said = "; ".join(f"{n}: {reason}" for reason, n in reasons.most_common(3))
    return (
        f"Nothing was written: the format has no place for any of {report.n_skipped} ({said}). "
        "Choose another one."
    )


def _write_one(record: Record, add: Add, report: ExportReport, *, skips: bool) -> None:
    try:
        add(record)
    except StructureError as error:
        if not skips:
            raise StructureError(f"{record.known['id']}: {error}") from error
        report.skip(record, str(error))
    else:
        report.written += 1
