"""Archives: the members of zip and tar files, as sources.

Nothing is extracted under a member's own name. Members that would lead elsewhere (links,
devices, absolute names or names with ``..``) are refused; hidden ones are passed over.
"""

from __future__ import annotations

import io
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Literal, cast

from nanoos.errors import ParseError
from nanoos.parsers import zip_entries
from nanoos.parsers.compression import check_expansion
from nanoos.parsers.source import Source, Unfound

HEAD_BYTES = 512
"""This much of the beginning tells an archive."""
MAX_DIRECTORY_BYTES = 16 * 1024**2
"""Of a zip file's list of members, which is read whole; some 150,000 members."""

_MAX_READ_BYTES = 4 * 1024**2  # that tarfile asks for at once
_MAX_HEADER_BYTES = 16 * 1024  # of a header beside a member's own; a path has 4,096 at most
_PAX_RECORD = re.compile(rb"([1-9]\d{0,4}) [^=\n]{1,1000}=")
_DIGITS = re.compile(rb"\d{1000}")
_LOCATOR_BYTES = 20
_END_BYTES = 22 + 65_535 + _LOCATOR_BYTES  # end record, its longest comment, and what is before it
_UNPACKED = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, struct.error),
    *(ArithmeticError, EOFError, LookupError, OSError, ValueError),
    RuntimeError,  # also what it derives: RecursionError, NotImplementedError
)
"""What the standard library raises where an archive does not say what it should."""


class Budget:
    """How many bytes an archive, with the archives in it, may still grow to."""

    def __init__(self, archive_bytes: int) -> None:
        self._archive_bytes = archive_bytes
        self._spent = 0

    def check(self, more: int) -> None:
        """Raise ParseError when ``more`` bytes are too many."""
        check_expansion(self._spent + more, self._archive_bytes)

    def spend(self, size: int) -> None:
        """Count a member that was taken out."""
        self._spent += size


def archive_kind(head: bytes) -> Literal["zip", "tar"] | None:
    """Tell an archive by its first 512 bytes, uncompressed."""
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if len(head) < HEAD_BYTES:
        return None
    try:
        tarfile.TarInfo.frombuf(head[:HEAD_BYTES], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return None
    return "tar"


def members(
    source: Source,
    kind: Literal["zip", "tar"],
    budget: Budget,
    wanted: Callable[[str], bool] = lambda _: True,
) -> Iterator[Source | Unfound]:
    """Yield the files of an archive whose names are wanted one by one, and what cannot be had.

    An archive that is damaged gives what comes before the damage, then an Unfound for the rest.
    """
    try:
        yield from (_of_zip if kind == "zip" else _of_tar)(source, budget, wanted)
    except ParseError as error:
        yield Unfound(source.name, error, "rest")
    except _DAMAGE as error:
        said = ParseError(f"The {kind} archive is damaged: {error}.")
        yield Unfound(source.name, said, "rest")


def printable(name: str) -> str:
    """Return a file's name so that it can be shown and stored as text."""
    return "".join(c if c.isprintable() else "\ufffd" for c in name)


def _refusal(name: str) -> str | None:
    """Return why a member of this name is not read."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or ".." in parts or parts[0] == "/" or re.match("[A-Za-z]:", parts[0]):
        return "its name leads out of the archive"
    return None


def _is_hidden(name: str) -> bool:
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith(".") for part in parts) or "__MACOSX" in parts
    return hidden and _refusal(name) is None


def _source(stream: BinaryIO, name: str, budget: Budget) -> Source:
    source = Source.of_stream(stream, name, budget.check)
    budget.spend(source.size_bytes)
    return source


def _refused(name: str, reason: str) -> Unfound:
    return Unfound(name, ParseError(f"The member of the archive is not read: {reason}."))


# zip


def _of_zip(
    source: Source, budget: Budget, wanted: Callable[[str], bool]
) -> Iterator[Source | Unfound]:
    def is_read(member: zipfile.ZipInfo) -> bool:
        name = member.filename
        is_folder = name.endswith("/")  # is_dir() fails where there is no name
        return not is_folder and not _is_hidden(name) and wanted(name)

    with source.local_path() as path, path.open("rb") as stream:
        if not _end_record(stream):
            yield from _of_cut_zip(stream, source, budget, is_read)
            return
        check_directory(stream)
        with zipfile.ZipFile(stream) as archive:
            for member in filter(is_read, archive.infolist()):
                yield _zip_member(archive.open, member, source.name, budget)


def _of_cut_zip(
    stream: BinaryIO, source: Source, budget: Budget, is_read: Callable[[zipfile.ZipInfo], bool]
) -> Iterator[Source | Unfound]:
    """Yield the members of a zip file without its end; none is lost where only the list is."""
    opened = partial(zip_entries.opened, stream)
    count = 0
    loss: Literal["rest"] | None = None
    try:
        for member in zip_entries.entries(stream, budget.check):
            count += 1
            if is_read(member):
                yield _zip_member(opened, member, source.name, budget)
    except _DAMAGE:
        loss = "rest"
    what = "they are read, and no more of it" if loss else "they are read"
    said = f"The zip archive is damaged or cut short after {count} members: {what}."
    yield Unfound(source.name, ParseError(said), loss)


def _zip_member(
    open_: Callable[[zipfile.ZipInfo], Any], member: zipfile.ZipInfo, within: str, budget: Budget
) -> Source | Unfound:
    name = f"{within}/{printable(member.filename)}"
    mode = member.external_attr >> 16
    reason = _refusal(member.filename)
    if stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
        reason = "it is a link or a device"
    elif member.flag_bits & 1:
        reason = "it is encrypted; unpack it with its password first"
    elif member.compress_type not in _UNPACKED:
        reason = f"it is compressed by a method other than deflate ({member.compress_type})"
    if reason:
        return _refused(name, reason)
    try:
        with open_(member) as stream:
            return _source(cast(BinaryIO, stream), name, budget)
    except _DAMAGE as error:
        said = ParseError(f"The member of the zip archive is damaged: {error}.")
        return Unfound(name, said, "member")


def check_directory(stream: BinaryIO) -> None:
    """Raise ParseError where the list of members is too long to be held in memory.

    PKWARE's APPNOTE 6.3.10, sections 4.3.14 to 4.3.16: the size of the central directory, in
    the end record or, where that says 0xFFFFFFFF, in the zip64 one.
    """
    tail = _end_record(stream)
    if not tail:
        raise ParseError("The zip archive is damaged or cut short: its list of members is missing.")
    (directory_bytes,) = struct.unpack_from("<I", tail, _LOCATOR_BYTES + 12)
    if directory_bytes == 0xFFFFFFFF and tail.startswith(b"PK\x06\x07"):
        (where,) = struct.unpack_from("<Q", tail, 8)
        stream.seek(min(where, stream.seek(0, io.SEEK_END)))
        record = stream.read(56)
        directory_bytes = struct.unpack_from("<Q", record, 40)[0] if len(record) == 56 else 0
    if directory_bytes > MAX_DIRECTORY_BYTES:
        raise ParseError(
            f"The zip archive's list of members is longer than {MAX_DIRECTORY_BYTES // 1024**2} "
            "MB. Split the archive, or make it a tar archive."
        )
    stream.seek(0)


def _end_record(stream: BinaryIO) -> bytes:
    """Return a zip file's end record with the locator before it; nothing where there is none."""
    size = stream.seek(0, io.SEEK_END)
    stream.seek(max(0, size - _END_BYTES))
    tail = bytes(_LOCATOR_BYTES) + stream.read()
    end = tail.rfind(b"PK\x05\x06")
    stream.seek(0)
    return tail[end - _LOCATOR_BYTES :] if end >= 0 and len(tail) >= end + 22 else b""


# tar


def _of_tar(
    source: Source, budget: Budget, wanted: Callable[[str], bool]
) -> Iterator[Source | Unfound]:
    with source.open() as content:
        stream = _Forward(content)
        with tarfile.open(fileobj=cast(BinaryIO, stream), mode="r:", tarinfo=_Member) as archive:
            count = 0
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined] # it would keep them all
                count += 1
                if not member.isdir() and not _is_hidden(member.name) and wanted(member.name):
                    yield _tar_member(archive, member, source.name, budget)
        if len(stream.last) < HEAD_BYTES or stream.last.strip(b"\0"):
            raise ParseError(
                f"The tar archive is damaged or cut short after {count} members: they are read, and"
                " no more of it."
            )


def _tar_member(
    archive: tarfile.TarFile, member: tarfile.TarInfo, within: str, budget: Budget
) -> Source | Unfound:
    name = f"{within}/{printable(member.name)}"
    reason = _refusal(member.name)
    if not member.isreg():
        reason = "it is a link or a device"
    elif member.issparse():
        reason = "it is a sparse file"
    if reason:
        return _refused(name, reason)
    stream = archive.extractfile(member)
    assert stream is not None  # noqa: S101 - a regular file has content
    return _source(cast(BinaryIO, stream), name, budget)


class _Member(tarfile.TarInfo):
    """A member whose further headers are looked at before tarfile reads them.

    tarfile's time grows with the square of their length, and what they say of all members that
    follow is kept. The map of a sparse file, which is refused anyway, is passed over.
    """

    def _proc_pax(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        kept_bytes = sum(len(key) + len(value) for key, value in archive.pax_headers.items())
        size = self._block(self.size)  # type: ignore[attr-defined]
        _check_header(size + kept_bytes)
        content = cast(_Forward, archive.fileobj).peek(size)[: self.size]
        position = 0
        while record := _PAX_RECORD.match(content, position):
            position += int(record[1])
        if content[position:].strip(b"\0") or _DIGITS.search(content):
            raise tarfile.ReadError("a pax header does not hold what it should")
        return super()._proc_pax(archive)  # type: ignore[misc,no-any-return]

    def _proc_gnulong(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        _check_header(self._block(self.size))  # type: ignore[attr-defined]
        return super()._proc_gnulong(archive)  # type: ignore[misc,no-any-return]

    def _proc_sparse(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        stream = cast(_Forward, archive.fileobj)
        _, is_extended, _ = self._sparse_structs  # type: ignore[attr-defined]
        while is_extended:
            is_extended = bool(stream.read(tarfile.BLOCKSIZE)[504])
        self.sparse = b""  # which says that it is one
        self.offset_data = stream.tell()
        archive.offset = self.offset_data + self._block(self.size)  # type: ignore[attr-defined]
        return self

    def _proc_gnusparse_10(self, member: tarfile.TarInfo, *_: object) -> None:
        member.sparse = b""


def _check_header(size: int) -> None:
    if size > _MAX_HEADER_BYTES:
        raise tarfile.ReadError(f"a header states a size of {size} bytes")


class _Forward(io.RawIOBase):
    """A stream that tarfile can step forward in, and whose last read it cannot hide.

    tarfile believes the sizes that headers state, and takes garbage after the first member
    for the end of the archive.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._position = 0
        self._ahead = b""
        self.last = b""

    def tell(self) -> int:
        return self._position

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET or position < self._position:
            raise OSError("its headers point backwards")
        if self._stream.seekable():
            self._position, self._ahead = self._stream.seek(position), b""
        while self._position < position:
            if not self.read(min(position - self._position, _MAX_READ_BYTES)):
                break
        return self._position

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_READ_BYTES:
            raise OSError(f"a header states a size of {size} bytes")
        if self._ahead:
            self.last, self._ahead = self._ahead[:size], self._ahead[size:]
        else:
            self.last = self._stream.read(size)
        self._position += len(self.last)
        return self.last

    def peek(self, size: int) -> bytes:
        """Return what the next read will give."""
        self._ahead = self._ahead or self._stream.read(size)
        return self._ahead
