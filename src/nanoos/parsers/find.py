"""Find what there is to read: files, folders, archives, standard input, other providers."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from nanoos.errors import ParseError
from nanoos.parsers.archive import HEAD_BYTES, Budget, archive_kind, members, printable
from nanoos.parsers.optimade_provider import PREFIX, pages
from nanoos.parsers.source import Source, Unfound, sweep_spools

STANDARD_INPUT = "-"
MAX_ARCHIVES_DEEP = 2
"""An archive may hold archives, but those no further ones."""


@dataclass(frozen=True, slots=True)
class _Scope:
    """What is looked at: see `find`."""

    root: Path
    recursive: bool
    wanted: Callable[[str], bool]
    whole: Callable[[str], bool]


def find(
    arguments: Iterable[str | Path],
    *,
    recursive: bool = False,
    wanted: Callable[[str], bool] = lambda _: True,
    whole: Callable[[str], bool] = lambda _: False,
) -> Iterator[Source | Unfound]:
    """Yield the sources that the arguments name, those of a folder in order, and what is amiss.

    A folder's own folders are entered if ``recursive``, each only once whatever links lead to
    it; links that lead out of the folder are not followed, and hidden files are passed over.
    Archives are looked into, also those within archives.
    ``-`` is standard input, and ``optimade:URL?filter`` asks a provider. Memory stays constant
    but for the names in one folder.

    Files of folders and archives whose names are not ``wanted`` are neither opened nor unpacked;
    archives whose names are ``whole`` are sources themselves.

    Large members of archives lie in temporary files: `Source.discard` each when it is read. Those
    of processes that were killed are removed.
    """
    sweep_spools()
    scope = _Scope(Path(), recursive, wanted, whole)
    for argument in arguments:
        if argument == STANDARD_INPUT:
            yield from _streamed(STANDARD_INPUT, "standard input", scope)
        elif str(argument).startswith(PREFIX):
            yield from pages(str(argument))
        else:
            path = Path(argument)
            yield from _at(path, replace(scope, root=path), set(), named=True)


def _at(
    path: Path, scope: _Scope, entered: set[tuple[int, int]], *, named: bool
) -> Iterator[Source | Unfound]:
    """Yield what lies at a path; ``named`` on the command line, or found in a folder."""
    name = printable(str(path))
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else error
        yield Unfound(name, ParseError(f"The file cannot be read: {cause}."))
        return
    if not named and path.is_symlink() and not _is_within(scope.root, path):
        yield Unfound(
            name, ParseError("The link leads out of the folder; name what it leads to as well.")
        )
        return
    if stat.S_ISDIR(status.st_mode):
        key = (status.st_dev, status.st_ino)
        if (named or scope.recursive) and key not in entered:
            entered.add(key)
            yield from _in_folder(path, scope, entered)
    elif stat.S_ISREG(status.st_mode):
        if named or scope.wanted(name):
            yield from _looked_into(Source(name, path), Budget(status.st_size), scope)
    elif stat.S_ISFIFO(status.st_mode) and named:  # the shell's <(command)
        yield from _streamed(path, name, scope)
    else:
        yield Unfound(name, ParseError("It is neither a file nor a folder."))


def _is_within(root: Path, path: Path) -> bool:
    return path.resolve().is_relative_to(root.resolve())


def _in_folder(
    folder: Path, scope: _Scope, entered: set[tuple[int, int]]
) -> Iterator[Source | Unfound]:
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))  # noqa: PTH208 - names alone take a tenth of the memory
    except OSError as error:
        cause = f"The folder cannot be read: {error.strerror}."
        yield Unfound(printable(str(folder)), ParseError(cause))
        return
    for name in names:
        yield from _at(folder / name, scope, entered, named=False)


def _streamed(path: str | Path, name: str, scope: _Scope) -> Iterator[Source | Unfound]:
    """Yield what a stream that can be read only once holds."""
    try:
        if path == STANDARD_INPUT:
            source = Source.of_stream(sys.stdin.buffer, name)
        else:
            with Path(path).open("rb") as stream:
                source = Source.of_stream(stream, name)
    except ParseError as error:
        yield Unfound(name, error)
        return
    yield from _looked_into(source, Budget(source.size_bytes), scope)


def _looked_into(
    source: Source, budget: Budget, scope: _Scope, depth: int = 0
) -> Iterator[Source | Unfound]:
    """Yield the source, or its members if it is an archive."""
    try:
        kind = archive_kind(source.head(HEAD_BYTES))
    except ParseError as error:
        source.discard()
        yield Unfound(source.name, error)
        return
    if kind is None or scope.whole(source.name):
        yield source
        return
    try:
        if depth == MAX_ARCHIVES_DEEP:
            yield Unfound(source.name, ParseError("It is an archive in an archive in an archive."))
            return
        for one in members(source, kind, budget, scope.wanted):
            if isinstance(one, Source):
                yield from _looked_into(one, budget, scope, depth + 1)
            else:
                yield one
    finally:
        source.discard()
