"""Statements on a line of time, each with the lock that it brings, as SVG."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from pgsteady.rehearse import wording
from pgsteady.rehearse.running import Run
from pgsteady.rehearse.trace import Lock, Statement

WIDTH, LABEL, ROW, TOP = 1100, 300, 20, 24
LABEL_LENGTH = 42
SHOWN = 80
"""Statements in one picture; of more, those that take longest."""

_NOBODY, _WRITERS, _OTHERS, _NONE = "#b3261e", "#c77700", "#2b5f8f", "#7b8794"
LEGEND = (
    (_NOBODY, "nobody can read or write"),
    (_WRITERS, "writes wait"),
    (_OTHERS, "reads and writes go on"),
    (_NONE, "no lock seen that others meet"),
)


def colour(lock: Lock) -> str:
    """Return the colour of a lock, by what it means to others."""
    if lock.mode == "ACCESS EXCLUSIVE":
        return _NOBODY
    return _WRITERS if lock.stops_writes else _OTHERS


def timeline(run: Run) -> str:
    """Draw a run: a bar for each statement, and a pale one as long as its lock is held."""
    every = [statement for step in run.steps for statement in step.statements]
    shown = sorted(sorted(every, key=lambda one: -_lasts(one))[:SHOWN], key=lambda s: s.began_ms)
    length = max((one.began_ms + _lasts(one) for one in shown), default=0) or 1
    height = TOP + ROW * len(shown)
    body = "".join([*_axis(length, height), *_rows(shown, length)])
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" xmlns="http://www.w3.org/2000/svg" role="img" '
        f'font-family="system-ui, sans-serif" font-size="12">{body}</svg>'
    )


def _lasts(statement: Statement) -> float:
    """Return how long it takes, or how long its locks are held, if that is longer."""
    return max(statement.ms, *(lock.held_ms for lock in statement.locks), 0)


def _axis(length: float, height: int) -> Iterator[str]:
    for part in range(5):
        x = LABEL + (WIDTH - LABEL - 60) * part / 4
        yield f'<line x1="{x:.0f}" x2="{x:.0f}" y1="{TOP - 6}" y2="{height}" stroke="#e4e7eb"/>'
        yield (
            f'<text x="{x:.0f}" y="12" fill="#52606d" text-anchor="middle">'
            f"{wording.duration(length * part / 4) if part else '0'}</text>"
        )


def _rows(shown: list[Statement], length: float) -> Iterator[str]:
    per_ms = (WIDTH - LABEL - 60) / length
    for number, statement in enumerate(shown):
        y = TOP + ROW * number
        strongest = statement.strongest
        shade = colour(strongest) if strongest else _NONE
        x = LABEL + statement.began_ms * per_ms
        held = max((lock.held_ms for lock in statement.locks), default=0)
        title = "; ".join([wording.short(statement.sql), *map(wording.lock, statement.locks)])
        yield f"<g><title>{escape(title)}</title>"
        yield (
            f'<text x="{LABEL - 8}" y="{y + 14}" text-anchor="end" fill="#1f2933">'
            f"{escape(wording.short(statement.sql, LABEL_LENGTH))}</text>"
        )
        for ms, opacity in ((held, 0.3), (statement.ms, 1)):
            if ms:
                yield (
                    f'<rect x="{x:.1f}" y="{y + 4}" width="{max(ms * per_ms, 2):.1f}" '
                    f'height="{ROW - 8}" rx="2" fill="{shade}" opacity="{opacity}"/>'
                )
        yield "</g>"
