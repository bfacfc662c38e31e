"""Progress on a terminal: a bar with the time left for each step; in a log, a line."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pgsteady.cli.output import err
from pgsteady.progress import Advance

WORTH_A_LINE_S = 1.0


class Shown:
    """Shows each step on stderr, and leaves a line of those that took their time."""

    @contextmanager
    def step(self, title: str, total: float | None = None) -> Iterator[Advance]:
        """Show a step as long as the block lasts."""
        began_s = time.monotonic()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(
            *columns, console=err, transient=True, disable=not err.is_terminal
        ) as progress:
            task = progress.add_task(title, total=total)
            yield lambda done: progress.update(task, completed=done)
        took_s = time.monotonic() - began_s
        if took_s >= WORTH_A_LINE_S:
            err.print(f"{title}  [dim]{took_s:.1f} s[/]")

    def note(self, message: str) -> None:
        """Print one line."""
        err.print(message, markup=False, style="dim")
