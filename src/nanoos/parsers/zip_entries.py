"""Zip files whose list of members is lost, as it is where they are cut short: one after the other.

PKWARE's APPNOTE 6.3.10, sections 4.3.7 to 4.3.9: a header of its own stands before each member,
and where its size was not known before, a descriptor behind it.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, cast

_HEADER = struct.Struct("<4s5H3I2H")
_MEMBER = b"PK\x03\x04"
_LIST = (b"PK\x01\x02", b"PK\x05\x06")  # what follows the last member
_DESCRIPTOR = b"PK\x07\x08"
_IS_DESCRIBED, _IS_UTF8 = 1 << 3, 1 << 11
_ZIP64 = 1
_BLOCK_BYTES = 64 * 1024


def entries(stream: BinaryIO, check: Callable[[int], None]) -> Iterator[zipfile.ZipInfo]:
    """Yield the members in the order in which they lie, each to be had by `opened`.

    ``check`` is told of how many bytes the members whose sizes are not said have grown to so far,
    wanted or not, and may raise. Raises BadZipFile where the file is cut short, or something else
    stands where one should.
    """
    stream.seek(0)
    grown = 0

    def check_all(more: int) -> None:
        check(grown + more)

    while (head := stream.read(_HEADER.size))[:4] == _MEMBER:
        entry = _entry(stream, head, check_all)
        grown += entry.file_size if entry.flag_bits & _IS_DESCRIBED else 0
        end = stream.tell()
        yield entry
        stream.seek(end)
    if not head.startswith(_LIST):
        raise zipfile.BadZipFile("no member stands where one should")


def opened(stream: BinaryIO, entry: zipfile.ZipInfo) -> BinaryIO:
    """Return the content of a member, which is checked at its end."""
    stream.seek(entry.header_offset)
    return cast(BinaryIO, zipfile.ZipExtFile(stream, "r", entry))


def _entry(stream: BinaryIO, head: bytes, check: Callable[[int], None]) -> zipfile.ZipInfo:
    """Return what a header says, and leave the stream behind the member's content."""
    if len(head) < _HEADER.size:
        raise zipfile.BadZipFile("it is cut short")
    _, _, flags, kind, _, _, crc, packed, size, *lengths = _HEADER.unpack(head)
    name, extra = (_exactly(stream, length) for length in lengths)
    entry = zipfile.ZipInfo(name.decode("utf-8" if flags & _IS_UTF8 else "cp437", "replace"))
    entry.flag_bits, entry.compress_type, entry.CRC = flags, kind, crc
    entry.file_size, entry.compress_size = size, packed
    entry.header_offset = stream.tell()  # of its content
    wide = _wide(extra)
    if flags & _IS_DESCRIBED:
        entry.compress_size, entry.file_size = _sizes(stream, entry, check)
        entry.CRC = _described(stream, is_wide=wide is not None)
        return entry
    if wide is not None and len(wide) >= 16:
        entry.file_size, entry.compress_size = struct.unpack_from("<QQ", wide)
    if stream.seek(entry.compress_size, io.SEEK_CUR) > stream.seek(0, io.SEEK_END):
        raise zipfile.BadZipFile(f"it is cut short in {entry.filename}")
    stream.seek(entry.header_offset + entry.compress_size)
    return entry


def _sizes(
    stream: BinaryIO, entry: zipfile.ZipInfo, check: Callable[[int], None]
) -> tuple[int, int]:
    """Return how many bytes a member takes, packed and unpacked, by unpacking it."""
    if entry.compress_type != zipfile.ZIP_DEFLATED:
        raise zipfile.BadZipFile(f"the size of {entry.filename} is not said")
    inflate, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while not inflate.eof:
        packed = inflate.unconsumed_tail or stream.read(_BLOCK_BYTES)
        if not packed:
            raise zipfile.BadZipFile(f"it is cut short in {entry.filename}")
        size += len(inflate.decompress(packed, _BLOCK_BYTES))
        check(size)
    end = stream.seek(-len(inflate.unused_data), io.SEEK_CUR)
    return end - entry.header_offset, size


def _described(stream: BinaryIO, *, is_wide: bool) -> int:
    """Return the checksum of the descriptor that stands behind a member."""
    first = _exactly(stream, 4)
    crc = _exactly(stream, 4) if first == _DESCRIPTOR else first
    _exactly(stream, 16 if is_wide else 8)
    return int.from_bytes(crc, "little")


def _wide(extra: bytes) -> bytes | None:
    """Return the sizes of more than 4 GB that a header has beside its own; None without any."""
    place = 0
    while place + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, place)
        place += 4
        if kind == _ZIP64:
            return extra[place : place + length]
        place += length
    return None


def _exactly(stream: BinaryIO, size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise zipfile.BadZipFile("it is cut short")
    return content
