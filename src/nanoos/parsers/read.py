"""Read a file of any known format."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from nanoos import plugins
from nanoos.errors import ParseError, StructureError, UnknownFormat
from nanoos.parsers.parser import Parsed, Parser

MAX_BYTES = 100 * 1024**2
_HEAD_CHARACTERS = 20_000
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"PK\x03\x04": "zip", b"\xfd7zXZ": "xz"}


def read(path: Path) -> list[Parsed]:
    """Return every structure in a file, in its order.

    Raises ParseError: no such file, larger than 100 MB, empty, binary, not UTF-8, in no known
    format, or not a valid structure.
    """
    data = _bytes(path)
    text = _text(data)
    parser = _parser_for(text[:_HEAD_CHARACTERS], path.name)
    try:
        found = parser.parse(text)
    except StructureError as error:
        raise ParseError(str(error)) from error
    sha256 = hashlib.sha256(data).hexdigest()
    return [
        replace(
            parsed,
            name=parsed.name or (path.stem if len(found) == 1 else f"{path.stem} {number}"),
            source_text=text,
            source_format=parser.name,
            source_sha256=sha256,
        )
        for number, parsed in enumerate(found, start=1)
    ]


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ParseError(
                f"The file is larger than {MAX_BYTES // 1024**2} MB. Split it into smaller files."
            )
        return path.read_bytes()
    except OSError as error:
        raise ParseError(f"The file cannot be read: {error.strerror}.") from error


def _text(data: bytes) -> str:
    if not data.strip():
        raise ParseError("The file is empty.")
    for magic, kind in _COMPRESSED.items():
        if data.startswith(magic):
            raise ParseError(f"The file is compressed ({kind}). Unpack it first.")
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


def _parser_for(head: str, filename: str) -> Parser:
    parsers: list[Parser] = [make() for make in plugins.load("nanoos.parsers").values()]
    for name in ("", filename):
        for parser in parsers:
            if parser.recognises(head, name):
                return parser
    known = ", ".join(parser.name for parser in parsers)
    raise UnknownFormat(f"The file is in no known structure format (known: {known}).")
