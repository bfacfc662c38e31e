"""Read a source of any known format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from nanoos import plugins
from nanoos.errors import ParseError, StructureError, UnknownFormat
from nanoos.parsers.archive import archive_kind
from nanoos.parsers.parser import Parsed, Parser, Rejected
from nanoos.parsers.source import Source, decoded

_HEAD_BYTES = 20_000
_PARQUET = b"PAR1"  # Apache Parquet, "File format"


def read(path: Path) -> list[Parsed]:
    """Return every structure of one file, in its order; what a notebook wants.

    Raises ParseError for the first that cannot be read: no such file, empty, in no known
    format, or not a valid structure.
    """
    found = list(read_source(Source(str(path), path)))
    for one in found:
        if isinstance(one, Rejected):
            raise one.error
    return [one for one in found if isinstance(one, Parsed)]


def read_source(source: Source, format_: str | None = None) -> Iterator[Parsed | Rejected]:
    """Yield every structure of a source, named and numbered, as its parser finds it.

    ``format_`` names the parser; without it, the content tells. Raises ParseError when the
    source, or what is left of it, cannot be read or was written to meanwhile, and
    PluginNotFound for no such format.
    """
    before = source.state()
    parser = plugins.get("nanoos.parsers", format_)() if format_ else _parser_for(source)
    stem = Path(source.filename).stem
    held: Parsed | Rejected | None = None  # the last one, until it is known whether it is the only
    failure = None
    place = 0
    try:
        for place, one in enumerate(parser.parse(source), start=1):
            if held is not None:
                yield _named(held, f"{stem} {held.place}")
            held = replace(one, place=place, source_format=parser.name, source_sha256=source.sha256)
    except ParseError as error:
        failure = error
    except StructureError as error:
        failure = ParseError(str(error))
    if failure is None and source.state() != before:
        failure = ParseError("The file changed while it was read. Read it again.")
    if held is not None:
        yield _named(held, stem if place == 1 else f"{stem} {held.place}")
    if failure is not None:
        raise failure


def _named(one: Parsed | Rejected, name: str) -> Parsed | Rejected:
    return one if isinstance(one, Rejected) or one.name else replace(one, name=name)


def _parser_for(source: Source) -> Parser:
    head = source.head(_HEAD_BYTES)
    if kind := archive_kind(head):
        raise ParseError(f"It is a {kind} archive: nanoos.parsers.find yields what it holds.")
    if head.startswith(_PARQUET):
        raise UnknownFormat(
            "It is a Parquet table, which is written and not read. Export the structures as "
            "jsonl, optimade-jsonl or ase-db to import them elsewhere."
        )
    parsers: list[Parser] = [make() for make in plugins.load("nanoos.parsers").values()]
    for name in ("", source.filename):
        for parser in parsers:
            if parser.recognises(head, name):
                return parser
    decoded(head if len(head) < _HEAD_BYTES else head[: head.rfind(b"\n") + 1] or head[:-3])
    known = ", ".join(parser.name for parser in parsers)
    raise UnknownFormat(f"The file is in no known structure format (known: {known}).")
