"""What an upgrade did, what is true now, and the ways on and back."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from pgsteady.deploy.retrying import Step
from pgsteady.deploy.watch import Watch
from pgsteady.errors import PgSteadyError
from pgsteady.finding import Finding, Severity


class Outcome(StrEnum):
    """How it ended."""

    NOTHING = "nothing to do"
    DONE = "done"
    NOT_PROVED = "done, and not as it should be"
    REFUSED = "refused"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    DIED = "died"


@dataclass(frozen=True)
class Died:
    """A run that never said how it ended: its process, or the server, was killed."""

    started_at: datetime
    from_revisions: tuple[str, ...]
    to_revisions: tuple[str, ...]
    backup: str | None

    def __str__(self) -> str:
        kept = f" Its backup: {self.backup}." if self.backup else ""
        return (
            f"The upgrade begun {self.started_at.astimezone():%Y-%m-%d %H:%M:%S} from "
            f"{named(self.from_revisions)} died before it ended.{kept}"
        )


@dataclass
class Report:
    """One run of ``upgrade``.

    ``current`` is what the version table names at the end, None if it cannot be read.
    ``maintenance`` tells whether it is on. ``left`` says what a failure left that no
    transaction undid. ``on`` and ``back`` are the commands to go on, and to undo it.
    """

    from_revisions: tuple[str, ...]
    to_revisions: tuple[str, ...] = ()
    outcome: Outcome = Outcome.NOTHING
    current: tuple[str, ...] | None = None
    steps: list[Step] = field(default_factory=list)
    backup: Path | None = None
    without_rehearsal: str | None = None
    maintenance: bool = False
    findings: list[Finding] = field(default_factory=list)
    watch: Watch | None = None
    died: list[Died] = field(default_factory=list)
    error: PgSteadyError | None = None
    left: str = ""
    on: list[str] = field(default_factory=list)
    back: list[str] = field(default_factory=list)

    @property
    def done(self) -> list[Step]:
        """The steps that were applied."""
        return [step for step in self.steps if step.done]

    @property
    def failed(self) -> Step | None:
        """The step that was tried and is not applied."""
        tried = [step for step in self.steps if step.attempts and not step.done]
        return tried[0] if tried else None

    @property
    def proved(self) -> bool:
        """Whether nothing that was found afterwards is an error."""
        return all(finding.severity is not Severity.ERROR for finding in self.findings)

    @property
    def good(self) -> bool:
        """Whether it is proved, and nobody else felt more than allowed."""
        return self.proved and not (self.watch and self.watch.exceeded)

    def as_json(self) -> dict[str, Any]:
        """Return the report as one document."""
        return {
            "outcome": self.outcome,
            "from_revisions": list(self.from_revisions),
            "to_revisions": list(self.to_revisions),
            "current": None if self.current is None else list(self.current),
            "steps": [step.as_json() for step in self.steps],
            "backup": str(self.backup) if self.backup else None,
            "without_rehearsal": self.without_rehearsal,
            "maintenance": self.maintenance,
            "findings": [finding.as_json() for finding in self.findings],
            "watch": self.watch.as_json() if self.watch else None,
            "died_before": [str(died) for died in self.died],
            "error": str(self.error) if self.error else None,
            "left": self.left,
            "go_on": self.on,
            "go_back": self.back,
        }


def named(revisions: tuple[str, ...]) -> str:
    """Name revisions for people; none of them is the base."""
    return ", ".join(revisions) or "base"
