"""Compressed files, uncompressed as they are read: gzip, bzip2, xz and Zstandard.

What they are is told by their first bytes. A few bytes can stand for any number, so output is
limited in size, and in proportion to what it was made from.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Callable
from typing import BinaryIO, Protocol, TypeVar

from nanoos.errors import ParseError

S = TypeVar("S", bound=BinaryIO)

SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
MAX_UNCOMPRESSED_BYTES = 64 * 1024**3
MAX_EXPANSION = 300
"""Text of structures shrinks by 3 to 50; what shrinks by more than this was made to burst."""
EXPANSION_FREE_BYTES = 256 * 1024**2
"""Output up to this size may come from any input, however small."""

_MAX_DECODER_BYTES = 256 * 1024**2  # of memory that an xz file may ask for
_BUFFER_BYTES = 128 * 1024
_STEP_BYTES = 64 * 1024
# Four bytes of Zstandard can stand for 128 kB, and its decoder gives all that its input holds.
_ZSTD_STEP_BYTES = 1024
_KINDS = {
    "gzip": re.compile(rb"\x1f\x8b\x08"),
    "bzip2": re.compile(rb"BZh[1-9](1AY&SY|\x17\x72\x45\x38\x50\x90)"),
    "xz": re.compile(rb"\xfd7zXZ\0"),
    "Zstandard": re.compile(rb"\x28\xb5\x2f\xfd"),
}


def uncompressed(stream: S) -> S | io.BufferedReader:
    """Return the content of a seekable stream: itself, or what it is compressed from.

    Reading raises ParseError where the data is damaged, cut short or grows beyond the limits.
    """
    head = stream.read(16)
    stream.seek(0)
    for kind, magic in _KINDS.items():
        if magic.match(head):
            content = _Content(stream, kind)
            return io.BufferedReader(content, _BUFFER_BYTES)
    return stream


def check_expansion(size: int, compressed_size: int) -> None:
    """Raise ParseError where ``size`` bytes are too many to come from ``compressed_size``."""
    if size > MAX_UNCOMPRESSED_BYTES:
        limit = MAX_UNCOMPRESSED_BYTES // 1024**3
        raise ParseError(f"Uncompressed it is larger than {limit} GB. Split it into smaller files.")
    if size > max(EXPANSION_FREE_BYTES, MAX_EXPANSION * compressed_size):
        raise ParseError(
            f"It grows more than {MAX_EXPANSION}-fold when uncompressed, as no file of structures "
            "does: it may be a decompression bomb."
        )


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    @property
    def needs_input(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Content(io.RawIOBase):
    """The uncompressed content of a stream."""

    def __init__(self, compressed: BinaryIO, kind: str) -> None:
        self._compressed = compressed
        self._kind = kind
        self._inner = _reader(compressed, kind)
        self._given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        from zstandard import ZstdError

        try:
            block = self._inner.read1(len(buffer))  # what comes before a damage is given
        except (OSError, EOFError, zlib.error, lzma.LZMAError, ZstdError) as error:
            raise ParseError(
                f"The {self._kind} data is damaged or cut short after {self._given} bytes of "
                f"content: {error}."
            ) from error
        self._given += len(block)
        check_expansion(self._given, self._compressed.tell())
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        self._compressed.close()
        super().close()


def _reader(compressed: BinaryIO, kind: str) -> gzip.GzipFile | _Frames:
    if kind == "gzip":
        return gzip.GzipFile(fileobj=compressed)
    if kind == "bzip2":
        return _Frames(compressed, bz2.BZ2Decompressor, _STEP_BYTES)
    if kind == "xz":
        return _Frames(
            compressed, lambda: lzma.LZMADecompressor(memlimit=_MAX_DECODER_BYTES), _STEP_BYTES
        )
    return _Frames(compressed, _Zstandard, _ZSTD_STEP_BYTES)


class _Frames:
    """Reads what one or more compressed frames, one after another, hold."""

    def __init__(self, compressed: BinaryIO, make: Callable[[], _Decoder], step: int) -> None:
        self._compressed = compressed
        self._make = make
        self._decoder = make()
        self._step = step
        self._ready = io.BytesIO()

    def read1(self, size: int) -> bytes:
        """Return 1 to ``size`` bytes, or none at the end."""
        while not (block := self._ready.read(size)):
            data = b""
            if self._decoder.eof:
                data = self._decoder.unused_data.lstrip(b"\0") or self._compressed.read(self._step)
                if not data:
                    return b""
                self._decoder = self._make()
            elif self._decoder.needs_input:
                data = self._compressed.read(self._step)
                if not data:
                    raise EOFError("it ends within a frame")
            self._ready = io.BytesIO(self._decoder.decompress(data, size))
        return block


class _Zstandard:
    """zstandard's decoder of one frame, in the shape of the standard library's."""

    needs_input = True

    def __init__(self) -> None:
        from zstandard import ZstdDecompressor

        self._decoder = ZstdDecompressor().decompressobj()

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:  # noqa: ARG002 - it has no limit
        return self._decoder.decompress(data)
