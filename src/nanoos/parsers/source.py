"""Where structures are read from: a file, a member of an archive, standard input.

A source is read in another process than it was found in, so it can be pickled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Self

from nanoos.errors import ParseError

MAX_TEXT_BYTES = 100 * 1024**2
"""Formats that are read as one text may be this long; those read line by line, any length."""


@dataclass(frozen=True)
class Source:
    """The bytes of one file, uncompressed, with the name by which reports mention it.

    ``name`` is what a person knows it by (``runs.tar.gz/relaxed/CONTCAR``), ``path`` where its
    bytes lie; small members of archives have ``data`` in place of a path.
    """

    name: str
    path: Path | None = None
    data: bytes | None = None

    @classmethod
    def of_text(cls, text: str, name: str = "text") -> Self:
        """Return a source of a text in memory."""
        return cls(name, data=text.encode())

    @property
    def filename(self) -> str:
        """The last part of the name, without the suffix of a compression."""
        return Path(self.name).name

    def open(self) -> BinaryIO:
        """Return the content as a stream. Raises ParseError when it cannot be opened."""
        if self.data is not None:
            return BytesIO(self.data)
        assert self.path is not None  # noqa: S101 - one of the two is given
        try:
            return self.path.open("rb")
        except OSError as error:
            raise ParseError(f"The file cannot be read: {error.strerror}.") from error

    def head(self, size: int) -> bytes:
        """Return the first ``size`` bytes."""
        with self.open() as stream:
            return stream.read(size)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the content, in hexadecimal digits."""
        digest = hashlib.sha256()
        with self.open() as stream:
            while block := stream.read(1024**2):
                digest.update(block)
        return digest.hexdigest()

    @cached_property
    def text(self) -> str:
        """The whole content as UTF-8. Raises ParseError: too long, binary, not UTF-8."""
        with self.open() as stream:
            data = stream.read(MAX_TEXT_BYTES + 1)
        if len(data) > MAX_TEXT_BYTES:
            limit = MAX_TEXT_BYTES // 1024**2
            raise ParseError(f"The file is larger than {limit} MB. Split it into smaller files.")
        return decoded(data)

    def lines(self) -> Iterator[str]:
        """Yield the lines one by one, without their ends."""
        yield from self.text.splitlines()


def decoded(data: bytes) -> str:
    """Return the text of a file. Raises ParseError: empty, binary, not UTF-8."""
    if not data.strip():
        raise ParseError("The file is empty.")
    if b"\0" in data:
        raise ParseError("The file is binary, not text.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ParseError(
            f"The file is not UTF-8 text (byte 0x{data[error.start]:02x}). Convert it, for "
            "instance from Latin-1 with: iconv -f latin1 -t utf-8",
            line=data.count(b"\n", 0, error.start) + 1,
        ) from error
