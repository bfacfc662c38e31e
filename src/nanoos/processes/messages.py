"""What a pool and its processes say to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class Limits:
    """What one item may take: time without a result, and memory beyond that of an idle process."""

    silence_s: float = 10.0
    memory_bytes: int = 1024**3


class Failure(NamedTuple):
    """Why nothing, or nothing more, came of an item; ``line`` where in a file, if it is known."""

    message: str
    line: int | None = None


class Part(NamedTuple):
    """Results of one item; nothing more comes of it after the part that is the end."""

    number: int
    results: list[Any]
    failure: Failure | None
    is_end: bool


READY = b"ready"
HEADER_BYTES = 8
"""Each message from a process is preceded by its length, big-endian."""
MESSAGE_BYTES = 1024**2
"""A process sends its results when they amount to about so much (by `sys.getsizeof`)."""
MESSAGE_S = 0.2
"""... or have waited for so long."""
