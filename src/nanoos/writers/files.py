"""Files and folders of records that are complete, or not there at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

from nanoos.errors import NotWritten
from nanoos.scratch import Scratch
from nanoos.structures import formula
from nanoos.writers.record import Record
from nanoos.writers.sources import check_replaceable, sources_into
from nanoos.writers.writer import COMPRESSIONS, Add, Writer


@contextmanager
def exporting(
    output: Path, writer: Writer, *, folder: bool = False, sources: bool = True
) -> Iterator[Add]:
    """Give what writes one record after another to a file, or to a file each in a folder.

    With ``sources`` a bibliography and a table of licences are written beside ``output``. All
    is written in a hidden folder beside and takes its place when the context ends without an error:
    until then what stood there is whole, and afterwards nothing half is left. What a killed export
    left there is removed by the next one. Raises NotWritten, and for each record StructureError
    when the format has no place for it.
    """
    with _failures_told(output):
        staging = _Staging(output.parent)
    try:
        with ExitStack() as open_:
            with _failures_told(output):
                note = _sources(output, writer, folder, staging, open_) if sources else None
                if folder:
                    add = _into_folder(output, writer, staging)
                else:
                    add = open_.enter_context(writer.open(staging.place(output)))

            def add_with_sources(record: Record) -> None:
                with _failures_told(output):
                    add(record)
                    if note is not None:
                        note(record)

            yield add_with_sources
            with _failures_told(output):
                open_.close()
                staging.finish()
    finally:
        staging.discard()


def write_text(output: Path, text: str) -> None:
    """Write a text, whole or not at all. Raises NotWritten."""
    write_blocks(output, [text.encode()])


def write_blocks(output: Path, blocks: Iterable[bytes]) -> None:
    """Write blocks of bytes, all or none of them. Raises NotWritten, and what they do."""
    with _failures_told(output):
        staging = _Staging(output.parent)
    try:
        with _failures_told(output), staging.place(output).open("wb") as stream:
            stream.writelines(blocks)
        with _failures_told(output):
            staging.finish()
    finally:
        staging.discard()


class _Staging:
    """What is written beside its place, in a folder of its own, until all of it is complete."""

    def __init__(self, beside: Path) -> None:
        self._scratch = Scratch(beside, ".unfinished-")
        self._moves: list[tuple[Path, Path]] = []

    def place(self, final: Path) -> Path:
        """Return where to write what shall stand at ``final``."""
        unfinished = self._scratch.path / final.name
        self._moves.append((unfinished, final))
        return unfinished

    def finish(self) -> None:
        """Move all to where it belongs; files take the place of those that stood there."""
        for unfinished, final in self._moves:
            if unfinished.is_dir() and final.is_dir():
                for file in unfinished.iterdir():
                    file.replace(final / file.name)
            else:
                unfinished.replace(final)

    def discard(self) -> None:
        """Remove what is left."""
        self._scratch.remove()


def _into_folder(folder: Path, writer: Writer, staging: _Staging) -> Add:
    """Return what writes each record to a file of its own."""
    unfinished = staging.place(folder)
    unfinished.mkdir()
    numbers = count(1)

    def add(record: Record) -> None:
        path = unfinished / _file_name(record, next(numbers), writer)
        with writer.open(path) as write:
            try:
                write(record)
            except BaseException:
                path.unlink()
                raise

    return add


def _file_name(record: Record, number: int, writer: Writer) -> str:
    reduced = formula.reduced(record.structure.composition)
    return f"{reduced}_{record.known.get('id', number)}{writer.suffixes[0]}"


def beside(output: Path, writer: Writer, *, folder: bool) -> tuple[Path, Path]:
    """Return where the bibliography and the table of licences of an export are written."""
    stem = _stem(output.name, writer, folder=folder)
    return output.with_name(f"{stem}.bib"), output.with_name(f"{stem}.licences.csv")


def _sources(
    output: Path, writer: Writer, folder: bool, staging: _Staging, open_: ExitStack
) -> Callable[[Record], None]:
    paths = beside(output, writer, folder=folder)
    check_replaceable(*paths)
    bibliography, licences = (
        open_.enter_context(staging.place(path).open("w", encoding="utf-8", newline="\n"))
        for path in paths
    )
    return sources_into(bibliography, licences, output.name)


def _stem(name: str, writer: Writer, *, folder: bool) -> str:
    """Return a file's name without what says its format: ``si`` of ``si.extxyz.gz``."""
    for suffix in COMPRESSIONS:
        name = name.removesuffix(suffix)
    other = "" if folder else Path(name).suffix
    known = next((s for s in writer.suffixes if name.endswith(s)), other)
    return name.removesuffix(known) or name


@contextmanager
def _failures_told(output: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        cause = getattr(error, "strerror", None) or error
        raise NotWritten(f"{output} could not be written: {cause}.") from error
