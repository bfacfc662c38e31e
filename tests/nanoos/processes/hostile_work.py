"""Work for a pool: what an item says, is done to the process."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable, Iterator

from nanoos.errors import ParseError
from nanoos.steps import pause

MEGABYTE = 1024**2
Item = tuple[str, int]


def obey(item: Item) -> Iterator[tuple[int, bytes]]:
    """Yield so many numbers, a step for each, or misbehave after them."""
    what, n = item
    large, _, deed = what.rpartition(" ")
    for number in range(n):
        pause()
        yield number, bytes(MEGABYTE if large else 10)
    pause()
    DEEDS[deed]()


def _spin() -> None:
    while True:
        pass


def _eat() -> None:
    eaten = [bytes(64 * MEGABYTE) for _ in range(40)]
    raise AssertionError(f"{len(eaten)} could be had")


def _hold() -> None:
    held = bytes(60 * MEGABYTE)  # of all together more than one item may take
    pause()
    assert held


def _idle() -> None:
    time.sleep(0.04)
    pause()


def _raise() -> None:
    raise RuntimeError("of foreign making")


def _refuse() -> None:
    raise ParseError("It is wrong.", line=3)


def _print() -> None:
    print("noise", flush=True)
    os.write(1, b"more noise")


DEEDS: dict[str, Callable[[], object]] = {
    "good": lambda: None,
    "crash": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "exit": lambda: os._exit(7),
    "leave": lambda: sys.exit(5),
    "hang": lambda: time.sleep(3600),
    "spin": _spin,
    "eat": _eat,
    "hold": _hold,
    "idle": _idle,
    "doze": lambda: time.sleep(3.6),
    "raise": _raise,
    "refuse": _refuse,
    "print": _print,
}
