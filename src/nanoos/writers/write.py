"""Find a format's writer, and write a few structures as one text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nanoos import plugins
from nanoos.errors import StructureError
from nanoos.structures import Structure
from nanoos.writers.record import Record
from nanoos.writers.writer import COMPRESSIONS, TextWriter, Writer


def known_formats() -> list[str]:
    """Return the names of the formats that can be written."""
    return list(plugins.load("nanoos.writers"))


def writer_of(format: str) -> Writer:
    """Return the writer of a format. Raises PluginNotFound, which names those there are."""
    writer: Writer = plugins.get("nanoos.writers", format)()
    return writer


def format_of(path: Path) -> str | None:
    """Return the format that a file's name says, or None."""
    name = path.name.lower()
    for compression in COMPRESSIONS:
        name = name.removesuffix(compression)
    writers = [writer_of(format) for format in known_formats()]
    said = {suffix: writer.name for writer in writers for suffix in writer.suffixes}
    longest_first = sorted(said, key=len, reverse=True)
    by_suffix = (said[suffix] for suffix in longest_first if name.endswith(suffix))
    by_stem = (writer.name for writer in writers if name.startswith(writer.stems))
    return next(by_suffix, None) or next(by_stem, None)


def write(
    structures: Sequence[Structure], format: str, extras: Sequence[Mapping[str, Any]] = ()
) -> str:
    """Return the text of one file with the structures.

    ``extras`` has one ``extra`` (that of `nanoos.parsers.Parsed`) for each structure, or is
    empty. Raises StructureError when the format is none of text, or has no place for what a
    structure is: occupancies in POSCAR and extended XYZ, directions that do not repeat in CIF
    and POSCAR, several structures in a POSCAR.
    """
    if format not in known_formats():
        known = ", ".join(known_formats())
        raise StructureError(f"There is no format {format!r}. Known: {known}.")
    writer = writer_of(format)
    if not isinstance(writer, TextWriter):
        raise StructureError(f"Files of the format {format} are no text; write them to a path.")
    given = extras or [{}] * len(structures)
    records = [Record(one, extra) for one, extra in zip(structures, given, strict=True)]
    if writer.one_per_file and len(records) != 1:
        raise StructureError(f"A {format.upper()} file holds exactly one structure.")
    encode = writer.encoder()
    return writer.head() + "".join(encode(record) for record in records)
