"""Ctrl-C and SIGTERM while a revision runs: asked for, and obeyed where it is safe."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)
POLL_S = 0.1


class Interruption:
    """Counts how often somebody asked to stop, instead of stopping in the middle."""

    def __init__(self) -> None:
        self.times = 0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._asked) for number in SIGNALS}
        return self

    def __exit__(
        self,
        _class: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _asked(self, _number: int, _frame: FrameType | None) -> None:
        self.times += 1

    def sleep(self, seconds: float) -> None:
        """Sleep so long, or until somebody asks to stop."""
        until = time.monotonic() + seconds
        while not self.times and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, POLL_S))
