"""Writing structures to files: all into one, or one each, and never half a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from api.cli.database import in_transaction

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from api.models import Structure

SUFFIXES = {"cif": "cif", "extxyz": "extxyz", "poscar": "vasp"}


@dataclass
class ExportReport:
    """How many structures were written, and which the format has no place for."""

    written: int = 0
    skipped: list[dict[str, Any]] = field(default_factory=list)


def export_structures(ids: Sequence[UUID] | None, format_: str, output: Path) -> ExportReport:
    """Write these structures, or all in view where ``ids`` is None.

    ``output`` is a file; where it is a folder, or the format holds one structure
    a file and there are several, it becomes a folder with one file each.
    Of all structures those the format has no place for are skipped; named ones
    are written all or not at all. Raises NotFound, StructureError and WrongUsage.
    """
    from api.errors import WrongUsage

    if format_ not in SUFFIXES:
        raise WrongUsage(f"There is no format {format_!r}. Known: {', '.join(SUFFIXES)}.")
    if not output.parent.is_dir():
        raise WrongUsage(f"There is no folder {output.parent}.")
    report = ExportReport()
    rows = in_transaction(lambda session, _: _rows(session, ids))
    if ids is None:
        rows = _writable(rows, format_, report)
    if output.is_dir() or (format_ == "poscar" and len(rows) > 1):
        if output.is_file():
            raise WrongUsage(f"{output} is a file; several POSCAR files need a folder.")
        output.mkdir(exist_ok=True)
        for row in rows:
            _replace(output / _file_name(row, format_), _text([row], format_))
    else:
        _replace(output, _text(rows, format_))
    report.written = len(rows)
    return report


async def _rows(session: AsyncSession, ids: Sequence[UUID] | None) -> list[Structure]:
    from api.services import structures

    if ids is None:
        return [row async for row in structures.stream(session)]
    return await structures.get(session, ids)


def _writable(rows: Sequence[Structure], format_: str, report: ExportReport) -> list[Structure]:
    """Return the rows the format has a place for; note the others in the report."""
    from nanoos.errors import StructureError

    kept = []
    for row in rows:
        try:
            _text([row], format_)
        except StructureError as error:
            report.skipped.append({"id": str(row.id), "reason": str(error)})
        else:
            kept.append(row)
    return kept


def _text(rows: Sequence[Structure], format_: str) -> str:
    from api.services.structures import to_atoms
    from nanoos.writers import write

    extras = [({"name": row.name} if row.name else {}) | row.extra for row in rows]
    return write([to_atoms(row) for row in rows], format_, extras)


def _file_name(row: Structure, format_: str) -> str:
    return f"{row.material.reduced_formula}_{row.id}.{SUFFIXES[format_]}"


def _replace(path: Path, text: str) -> None:
    """Write beside ``path`` first, so that what stood there is whole until the new one is."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
