"""How the reports say things, whatever they are written in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgsteady.finding import Severity
from pgsteady.rehearse.trace import MODES, Lock, Statement

if TYPE_CHECKING:
    from pgsteady.rehearse.report import Rehearsal

MINUTE_MS = 60_000
SQL_SHOWN = 160

CAVEATS = (
    "The copy's server writes without waiting for the disk, on this machine, with nobody else "
    "at work: the live server has to write, and to wait for others' locks."
)


def duration(ms: float) -> str:
    """Write a time as people say it."""
    if ms < 1:
        return "< 1 ms"
    if ms < 1000:
        return f"{ms:.0f} ms"
    if ms < MINUTE_MS:
        return f"{ms / 1000:.1f} s"
    minutes, rest = divmod(round(ms / 1000), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def verdict(rehearsal: Rehearsal) -> str:
    """Say in one line whether to go."""
    step = f"{named(rehearsal.from_revisions)} -> {named(rehearsal.to_revisions)}"
    return f"{'Go' if rehearsal.go else 'No-go'}: {step}"


def lint_stops(rehearsal: Rehearsal) -> str:
    """Say how ``upgrade`` gets past lint's errors; nothing if there are none."""
    errors = (finding for finding in rehearsal.lint if finding.severity == Severity.ERROR)
    options = [f"--accept-lint {code}" for code in sorted({error.code for error in errors})]
    if not options:
        return ""
    return f"Lint will stop the upgrade, unless it is accepted: {' '.join(options)}"


def named(revisions: tuple[str, ...]) -> str:
    """Name revisions, none as Alembic does."""
    return ", ".join(revisions) or "base"


def short(sql: str, length: int = SQL_SHOWN) -> str:
    """Return a statement on one line, its end cut off where it is long."""
    line = " ".join(sql.split())
    return line if len(line) <= length else f"{line[: length - 3]}..."


def lock(found: Lock) -> str:
    """Name a lock with how long it was held."""
    return f"{found.mode} on {found.relation}, {duration(found.held_ms)}"


def meaning(found: Lock) -> str:
    """Say what a lock means to others."""
    return MODES[found.mode]


def effects(statement: Statement) -> list[str]:
    """Say what a statement did besides."""
    under = statement.under
    said = [f"under {under.mode} on {under.relation}"] if under and under.stops_writes else []
    said += [f"rewrites {name}" for name in statement.rewritten]
    said += [f"builds {name}" for name in statement.built]
    if statement.rows:
        said.append(f"{statement.rows:,} row{'' if statement.rows == 1 else 's'}")
    if statement.times > 1:
        said.append(f"sent {statement.times:,} times")
    if statement.alone:
        said.append("commits by itself")
    if statement.unseen and not statement.error:
        said.append("locks not seen: too short")
    if statement.error:
        said.append(f"fails: {statement.error}")
    return said
