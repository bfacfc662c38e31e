"""Finds in a thread of its own: a slow disk or a pipe must not hold up the rest."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")

FOUND = 256
"""Items that are found ahead,"""
FOUND_BYTES = 4 * 1024**2
"""or as many as hold this in memory."""


class Finder(Generic[T]):
    """Gives what an iterator yields, as much as there is at a time.

    ``held`` says how many bytes of memory an item holds.
    """

    def __init__(self, items: Iterable[T], held: Callable[[T], int]) -> None:
        self._items = items
        self._held = held
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._changed = threading.Condition()
        self._found: list[T] = []
        self._size = 0
        self._is_closed = self._is_finished = False
        self._failure: BaseException | None = None
        # A daemon: what blocks in reading from a pipe cannot be interrupted.
        threading.Thread(target=self._find, daemon=True).start()

    async def next(self) -> list[T]:
        """Return what was found meanwhile, nothing at the end; raises what finding raised."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            with self._changed:
                found, self._found, self._size = self._found, [], 0
                is_finished = self._is_finished
                self._changed.notify()
            if found or is_finished:
                break
        if is_finished:
            self._wake.set()  # also for the call after this one
            if not found and self._failure is not None:
                raise self._failure
        return found

    def close(self) -> None:
        """Find nothing more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def _find(self) -> None:
        try:
            for one in self._items:
                self._add(one)
                if self._is_closed:
                    return
        except BaseException as error:  # noqa: BLE001 - raised where it is awaited
            self._failure = error
        with self._changed:
            self._is_finished = True
        self._tell()

    def _add(self, one: T) -> None:
        with self._changed:
            while not self._is_closed and (len(self._found) >= FOUND or self._size >= FOUND_BYTES):
                self._changed.wait()
            is_first = not self._found
            self._found.append(one)
            self._size += self._held(one)
        if is_first:
            self._tell()

    def _tell(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody wants to know
            self._loop.call_soon_threadsafe(self._wake.set)
