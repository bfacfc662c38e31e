"""AiiDA archives (``.aiida``): the calculations of programs that there is a reader for.

Format: AiiDA 2, ``aiida.storage.sqlite_zip``, export version ``main_0001``: a zip file with
``metadata.json``, the SQLite database of nodes and links, and the content of files by its
SHA-256 under ``repo``. Files stay in the archive until they are read.
"""

from __future__ import annotations

import io
import re
import sqlite3
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, cast

from nanoos import plugins
from nanoos.errors import ParseError
from nanoos.parsers import Source
from nanoos.parsers.archive import archive_kind, check_directory, printable
from nanoos.parsers.compression import check_expansion
from nanoos.parsers.json_text import dumps, loads
from nanoos.parsers.plain import plain
from nanoos.parsers.sqlite import database
from nanoos.runs.run import Run, RunFolder, RunReader, Step

PROGRAMS = {
    "quantumespresso.pw": "espresso",
    "vasp": "vasp",
    "cp2k": "cp2k",
    "castep": "castep",
    "gpaw": "gpaw",
    "fhiaims": "fhi_aims",
    "aims": "fhi_aims",
    "lammps": "lammps",
}
"""How the name of a calculation's plug-in begins → the reader of its files."""
NODE = "aiida.json"
"""The name under which a run has what the archive's database says of it."""

_HEAD_BYTES = 512
_HEADER_BYTES = 30  # of a member of a zip file, before its name
_VERSION = re.compile(r"main_\d{4}")
_KEY = re.compile(r"[0-9a-f]{64}")
_MAX_DEPTH = 20  # of folders in a calculation's own
_MAX_FILES = 10_000  # of one calculation
_STEPS = 1_000_000  # of SQLite's virtual machine between two looks
_MAX_LOOKS = 2_000
_CALCULATIONS = """
    SELECT node.uuid, node.process_type, node.label, node.ctime, node.attributes,
           node.repository_metadata, retrieved.repository_metadata, computer.label
    FROM db_dbnode node
    LEFT JOIN db_dblink link ON link.input_id = node.id AND link.label = 'retrieved'
    LEFT JOIN db_dbnode retrieved ON retrieved.id = link.output_id
    LEFT JOIN db_dbcomputer computer ON computer.id = node.dbcomputer_id
    WHERE node.node_type = 'process.calculation.calcjob.CalcJobNode.'
    ORDER BY node.id
"""
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError)


class AiidaArchive:
    """The reader of AiiDA's archives."""

    name = "aiida"

    def runs(self, folder: RunFolder) -> list[RunFolder]:
        """Return the calculations of every archive, each with its files and `NODE`.

        Raises ParseError where an archive is damaged, or older than AiiDA 2.
        """
        runs = []
        for name, source in folder.files.items():
            if name.endswith(".aiida"):
                runs += [
                    RunFolder(f"{folder.name}/{run.name}", run.files)
                    for run in _calculations(name, source)
                ]
        return runs

    def read(self, run: RunFolder) -> Iterator[Step | Run]:
        """Yield what the reader of the program finds; the run has its node in ``extra``."""
        node = next(one for name, one in run.files.items() if PurePosixPath(name).name == NODE)
        prefix = node.name.removesuffix(NODE)
        said = loads(node.text)
        reader: RunReader = plugins.get("nanoos.runs", said["reader"])()
        files = {name.removeprefix(prefix): one for name, one in run.files.items() if one != node}
        runs = reader.runs(RunFolder(run.name, files))
        if not runs:
            program = said["process_type"].rpartition(":")[2]
            raise ParseError(f"The calculation of {program} has no output that can be read.")
        for found in runs:
            for one in reader.read(found):
                yield _with_node(one, run.name, node, prefix, said) if isinstance(one, Run) else one


def _with_node(run: Run, name: str, node: Source, prefix: str, said: dict[str, Any]) -> Run:
    """Return a run that also says where in AiiDA's provenance it stands."""
    files = {f"{prefix}{file}": digest for file, digest in run.files.items()}
    kept = {key: value for key, value in said.items() if key != "reader"}
    return replace(
        run,
        name=name,
        host=run.host or said["computer"],
        extra={**run.extra, "aiida": kept},
        files={**files, node.name: node.sha256},
    )


@dataclass(frozen=True)
class _Member(Source):
    """A file in a zip archive, opened where it lies without the list of members."""

    archive: Source | None = None
    member: zipfile.ZipInfo | None = None

    def stream(self) -> io.BufferedReader:
        """Return the content. Raises ParseError when the archive has changed or is damaged."""
        assert self.archive is not None and self.member is not None  # noqa: S101, PT018 - given
        try:
            stream = self.archive.open()
            stream.seek(self.member.header_offset)
            header = stream.read(_HEADER_BYTES)
            if len(header) < _HEADER_BYTES or not header.startswith(b"PK\x03\x04"):
                raise zipfile.BadZipFile("a member is not where the list says")
            skipped = sum(int.from_bytes(header[i : i + 2], "little") for i in (26, 28))
            stream.seek(skipped, io.SEEK_CUR)
            content = zipfile.ZipExtFile(cast(Any, stream), "r", self.member, close_fileobj=True)
            return io.BufferedReader(_Content(content, self.member.compress_size))
        except _DAMAGE as error:
            raise ParseError(f"The AiiDA archive is damaged: {error}.") from error

    def __reduce__(self) -> Any:
        """Pickle what was given, not what was read meanwhile."""
        return type(self), (self.name, None, None, False, self.archive, self.member)


class _Content(io.RawIOBase):
    """The content of a member; reading it raises ParseError where it is damaged, or a bomb."""

    def __init__(self, inner: zipfile.ZipExtFile, compressed_bytes: int) -> None:
        self._inner = inner
        self._compressed_bytes = compressed_bytes
        self._given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            block = self._inner.read1(len(buffer))
        except _DAMAGE as error:
            raise ParseError(f"The AiiDA archive is damaged: {error}.") from error
        self._given += len(block)
        check_expansion(self._given, self._compressed_bytes)
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        self._inner.close()
        super().close()


def _calculations(name: str, source: Source) -> Iterator[RunFolder]:
    """Yield a folder for each calculation that there is a reader for."""
    if archive_kind(source.head(_HEAD_BYTES)) != "zip":
        raise ParseError(_not_read("it is no zip file"))
    try:
        with source.open() as stream:
            check_directory(stream)
            with zipfile.ZipFile(stream) as archive:
                members = {member.filename: member for member in archive.infolist()}
    except _DAMAGE as error:
        raise ParseError(f"The AiiDA archive is damaged: {error}.") from error
    files = _Files(source, members)
    _check_version(files)
    readers = plugins.load("nanoos.runs")
    with files.of("db.sqlite3", "db.sqlite3").local_path() as path, database(path) as opened:
        for row in _rows(opened):
            process_type = str(row[1] or "")
            reader = _reader_of(process_type)
            if reader in readers:
                yield _calculation(f"{name}/{plain(row[0])}", row, reader, files)


@dataclass
class _Files:
    """The members of an archive, as sources."""

    archive: Source
    members: dict[str, zipfile.ZipInfo]

    def of(self, member: str, name: str) -> Source:
        """Return a member. Raises ParseError when there is none.

        Of an archive in a temporary file, which may be gone when its runs are read, it is a copy.
        """
        if member not in self.members:
            raise ParseError(_not_read(f"it has no {member}"))
        found = self.members[member]
        source = _Member(name, archive=self.archive, member=found)
        if not self.archive.temporary:
            return source
        with source.open() as stream:
            return Source.of_stream(stream, name)


def _not_read(cause: str) -> str:
    return (
        f"This is no archive of AiiDA 2: {cause}. One of an older version is converted by: "
        "verdi archive migrate OLD.aiida NEW.aiida"
    )


def _check_version(files: _Files) -> None:
    metadata = loads(files.of("metadata.json", "metadata.json").text)
    version = metadata.get("export_version") if isinstance(metadata, dict) else None
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise ParseError(_not_read(f"its version is {plain(version)}"))


def _rows(opened: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    """Yield the calculations; none may keep SQLite busy."""
    looks = 0

    def is_too_long() -> bool:
        nonlocal looks
        looks += 1
        return looks > _MAX_LOOKS

    opened.set_progress_handler(is_too_long, _STEPS)
    yield from opened.execute(_CALCULATIONS)


def _reader_of(process_type: str) -> str | None:
    plugin = process_type.removeprefix("aiida.calculations:")
    found = (reader for begin, reader in PROGRAMS.items() if f"{plugin}.".startswith(f"{begin}."))
    return next(found, None)


def _calculation(name: str, row: tuple[Any, ...], reader: str | None, files: _Files) -> RunFolder:
    uuid, process_type, label, created, attributes, given, retrieved, computer = row
    attributes = _object(attributes)
    said = {
        "uuid": uuid,
        "process_type": process_type,
        "process_label": attributes.get("process_label"),
        "label": label,
        "created_at": created,
        "computer": computer,
        "state": attributes.get("process_state"),
        "exit_status": attributes.get("exit_status"),
        "reader": reader,
    }
    node = f"{name}/{NODE}"
    sources: dict[str, Source] = {node: Source(node, data=dumps(plain(said)).encode())}
    for repository in (given, retrieved):
        for path, key in _listed(_object(repository), "", _MAX_DEPTH):
            if len(sources) < _MAX_FILES and f"repo/{key}" in files.members:
                whole = f"{name}/{printable(path)}"
                sources[whole] = files.of(f"repo/{key}", whole)
    return RunFolder(name, sources)


def _object(text: Any) -> dict[str, Any]:
    """Return the JSON object of a column, empty where it holds something else."""
    value = loads(text) if isinstance(text, str) else None
    return value if isinstance(value, dict) else {}


def _listed(folder: Any, prefix: str, depth: int) -> Iterator[tuple[str, str]]:
    """Yield the files that a repository lists: path and SHA-256. Hidden ones are AiiDA's own."""
    inner = folder.get("o") if isinstance(folder, dict) else None
    for name, one in inner.items() if isinstance(inner, dict) and depth else ():
        key = one.get("k") if isinstance(one, dict) else None
        if name.startswith("."):
            continue
        if isinstance(key, str) and _KEY.fullmatch(key):
            yield f"{prefix}{name}", key
        else:
            yield from _listed(one, f"{prefix}{name}/", depth - 1)
