"""Where structures are read from: a file, a member of an archive, standard input.

A source is read in another process than it was found in, so it can be pickled.
"""

from __future__ import annotations

import atexit
import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from io import BufferedReader, BytesIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal, NamedTuple, Self

from nanoos.errors import NanoError, ParseError
from nanoos.parsers.compression import SUFFIXES, uncompressed
from nanoos.scratch import Scratch, sweep

MAX_TEXT_BYTES = 100 * 1024**2
"""Formats that are read as one text may be this long; those read line by line, any length."""
MAX_LINE_BYTES = 10 * 1024**2
FIRST_BYTES = 20_000
"""What a source keeps of its beginning, once it was asked for it."""
SMALL_BYTES = 1024**2
"""Up to this size, content that has no file of its own stays in memory."""

_BLOCK_BYTES = 1024**2
_SPOOL = "nano-os-spool-"


@dataclass(frozen=True)
class Source:
    """The bytes of one file, uncompressed, with the name by which reports mention it.

    ``name`` is what a person knows it by (``runs.tar.gz/relaxed/CONTCAR``), ``path`` where its
    bytes lie, compressed or not; small members of archives have ``data`` in place of a path.
    The file of a ``temporary`` source is the source's own: `discard` it when it is read.
    """

    name: str
    path: Path | None = None
    data: bytes | None = None
    temporary: bool = False

    @classmethod
    def of_text(cls, text: str, name: str = "text") -> Self:
        """Return a source of a text in memory."""
        return cls(name, data=text.encode())

    @classmethod
    def of_stream(
        cls, stream: BinaryIO, name: str, check: Callable[[int], None] = lambda _: None
    ) -> Self:
        """Return a source of what a stream gives: in memory, or a temporary file of its own.

        ``check`` is told the number of bytes read so far, and may raise. Raises ParseError
        when there is no room for the file.
        """
        data = bytearray()
        while len(data) <= SMALL_BYTES and (block := stream.read(SMALL_BYTES + 1 - len(data))):
            data += block
            check(len(data))
        if len(data) <= SMALL_BYTES:
            return cls(name, data=bytes(data))
        path = _copied(stream, bytes(data), check)
        return cls(name, path=path, temporary=True)

    @cached_property
    def filename(self) -> str:
        """The last part of the name, without the suffix of a compression."""
        name = PurePosixPath(self.name)
        return name.stem if name.suffix.lower() in SUFFIXES else name.name

    @property
    def size_bytes(self) -> int:
        """The size of what lies there, compressed or not; 0 where nothing does any more."""
        if self.data is not None:
            return len(self.data)
        try:
            return self.path.stat().st_size if self.path else 0
        except OSError:
            return 0  # reading it says why

    def open(self) -> BufferedReader | BytesIO:
        """Return the content as a stream. Raises ParseError when it cannot be opened."""
        begun: _Beginning | None = vars(self).get("_first")
        return BytesIO(begun.content) if begun and begun.is_all else self.stream()

    def stream(self) -> BufferedReader | BytesIO:
        """Return the same, from where the content lies."""
        if self.data is not None:
            return uncompressed(BytesIO(self.data))
        assert self.path is not None  # noqa: S101 - one of the two is given
        with _reading():
            stream = self.path.open("rb")
            return uncompressed(stream)

    def head(self, size: int) -> bytes:
        """Return the first ``size`` bytes, fewer where the content ends, or is damaged, before.

        Raises ParseError where not one can be read.
        """
        if size <= FIRST_BYTES:
            return self._first.content[:size]
        return self._beginning(size).content

    @cached_property
    def _first(self) -> _Beginning:
        """What all readers look at to know their files, read once; of a small file all."""
        return self._beginning(FIRST_BYTES)

    def _beginning(self, size: int) -> _Beginning:
        found = b""
        with _reading(), self.open() as stream:
            try:
                while block := stream.read1(size - len(found)):
                    found += block
            except ParseError:
                if not found:
                    raise
                return _Beginning(found, is_all=False)
        return _Beginning(found, is_all=len(found) < size)

    def state(self) -> tuple[int, int] | None:
        """Return what differs after the file was written to; None where it has none."""
        try:
            status = self.path.stat() if self.path else None
        except OSError:
            return None
        return status and (status.st_size, status.st_mtime_ns)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the content, in hexadecimal digits."""
        digest = hashlib.sha256()
        with _reading(), self.open() as stream:
            while block := stream.read(_BLOCK_BYTES):
                digest.update(block)
        return digest.hexdigest()

    @cached_property
    def text(self) -> str:
        """The whole content as UTF-8. Raises ParseError: too long, binary, not UTF-8."""
        with _reading(), self.open() as stream:
            data = stream.read(MAX_TEXT_BYTES + 1)
        if len(data) > MAX_TEXT_BYTES:
            limit = MAX_TEXT_BYTES // 1024**2
            raise ParseError(f"The file is larger than {limit} MB. Split it into smaller files.")
        return decoded(data)

    def lines(self, *, tolerant: bool = False) -> Iterator[str]:
        """Yield the lines one by one as UTF-8, without their ends, in constant memory.

        Raises ParseError where the content is binary, not UTF-8, or a line too long; and at
        the end when nothing but blanks was there. ``tolerant`` is for outputs of programs that
        may have been killed: it replaces what is not UTF-8, takes NUL characters, which a full
        disk leaves, for text, and leaves out a last line without its end: half a number, maybe.
        """
        blank = True
        with _reading(), self.open() as stream:
            number = 0
            while data := stream.readline(MAX_LINE_BYTES + 1):
                if len(data) > MAX_LINE_BYTES:
                    limit = MAX_LINE_BYTES // 1024**2
                    raise ParseError(f"The line is longer than {limit} MB.", line=number + 1)
                if tolerant and not data.endswith(b"\n"):
                    return
                decode = _replaced if tolerant else _text
                text = decode(data, number + 1).rstrip("\n").removesuffix("\r")
                blank = blank and not text.strip()
                for line in text.split("\r"):
                    number += 1
                    yield line
        if blank:
            raise ParseError("The file is empty.")

    @contextmanager
    def local_path(self) -> Iterator[Path]:
        """Give a file with the content, for what reads no streams; not to be changed.

        It is the source's own file, or a copy that ends with the context, its name unrelated.
        """
        with self.stream() as stream:
            if self.path is not None and stream.seekable():  # only what is compressed is not
                yield self.path
                return
            copy = _copied(stream)
        try:
            yield copy
        finally:
            copy.unlink(missing_ok=True)

    def on_disk(self) -> Self:
        """Return the source with its bytes in a temporary file of its own, not in memory."""
        if self.data is None:
            return self
        path = _copied(BytesIO(self.data))
        return type(self)(self.name, path=path, temporary=True)

    def discard(self) -> None:
        """Remove the file of a temporary source; others are left alone."""
        if self.temporary and self.path is not None:
            self.path.unlink(missing_ok=True)

    def __reduce__(self) -> tuple[type[Self], tuple[str, Path | None, bytes | None, bool]]:
        """Pickle what was given, not what was read meanwhile."""
        return type(self), (self.name, self.path, self.data, self.temporary)


class _Beginning(NamedTuple):
    """The first bytes of a source, and whether there are no more."""

    content: bytes
    is_all: bool


@dataclass(frozen=True, slots=True)
class Unfound:
    """Something that should give sources and did not, or not all of them, and why.

    ``loss`` says what of an archive is lost because it is damaged: one member, which the name is
    that of, or the rest of it from some point on.
    """

    name: str
    error: NanoError
    loss: Literal["member", "rest"] | None = None


def decoded(data: bytes) -> str:
    """Return the text of a file. Raises ParseError: empty, binary, not UTF-8."""
    if not data.strip():
        raise ParseError("The file is empty.")
    return _text(data, 1)


def _text(data: bytes, line: int) -> str:
    """Return the text of bytes that begin on a line. Raises ParseError: binary, not UTF-8."""
    if b"\0" in data:
        raise ParseError("The file is binary, not text.")
    try:
        return data.decode("utf-8-sig" if line == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise ParseError(
            f"The file is not UTF-8 text (byte 0x{data[error.start]:02x}). Convert it, for "
            "instance from Latin-1 with: iconv -f latin1 -t utf-8",
            line=line + data.count(b"\n", 0, error.start),
        ) from error


def _replaced(data: bytes, line: int) -> str:
    """Return the text of bytes, whatever they are."""
    return data.decode("utf-8-sig" if line == 1 else "utf-8", "replace")


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ParseError(f"The file cannot be read: {error.strerror or error}.") from error


def sweep_spools() -> None:
    """Remove the temporary files that processes which were killed left."""
    sweep(Path(tempfile.gettempdir()), _SPOOL)


@cache
def _spool() -> Path:
    """The folder of this process's temporary files, removed when it ends."""
    scratch = Scratch(Path(tempfile.gettempdir()), _SPOOL)
    atexit.register(scratch.remove)
    return scratch.path


def _copied(
    stream: BinaryIO, first: bytes = b"", check: Callable[[int], None] = lambda _: None
) -> Path:
    """Return a new temporary file with ``first`` and what is left of the stream."""
    path = None
    size = len(first)
    try:
        with tempfile.NamedTemporaryFile(dir=str(_spool()), delete=False) as file:
            path = Path(file.name)
            file.write(first)
            while block := stream.read(_BLOCK_BYTES):
                size += len(block)
                check(size)
                file.write(block)
    except BaseException as error:
        if path is not None:
            path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise ParseError(
                f"It cannot be copied to {tempfile.gettempdir()} ({error.strerror or error}). "
                "TMPDIR names another folder for temporary files."
            ) from error
        raise
    return path
