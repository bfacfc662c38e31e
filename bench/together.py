"""Processes that begin together, and how long they take; needs the standard library alone."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from typing import Any


def took_s(work: Callable[..., None], processes: int, *words: Any) -> float:
    """Let processes do ``work(ready, *words)``, and return the seconds from when all are ready.

    Each waits at ``ready`` when what it does before is not to be counted. Exits where one fails.
    """
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(processes + 1)
    children = [context.Process(target=work, args=(ready, *words)) for _ in range(processes)]
    for child in children:
        child.start()
    ready.wait()
    began = time.perf_counter()
    for child in children:
        child.join()
    if any(child.exitcode for child in children):
        raise SystemExit("A process failed.")
    return time.perf_counter() - began
