"""What long work says of itself while it runs, whoever listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[float], None]
"""Called with how much is done so far, in the units of the step's total."""


class Progress(Protocol):
    """Who is told of the steps of long work."""

    def step(self, title: str, total: float | None = None) -> AbstractContextManager[Advance]:
        """Begin a step, which ends with the block; ``total`` is its amount, None if not known."""
        ...

    def note(self, message: str) -> None:
        """Say one thing worth knowing, such as who is waited for."""
        ...


class Silent:
    """Tells nobody."""

    @contextmanager
    def step(self, _title: str, _total: float | None = None) -> Iterator[Advance]:
        """Do nothing."""
        yield lambda _done: None

    def note(self, _message: str) -> None:
        """Do nothing."""


SILENT = Silent()
