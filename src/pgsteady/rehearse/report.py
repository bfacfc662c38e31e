"""What a rehearsal found, as one record."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pgsteady.finding import Finding, Severity
from pgsteady.rehearse.html import html
from pgsteady.rehearse.markdown import markdown
from pgsteady.rehearse.running import Run, Step
from pgsteady.rehearse.scale import Basis
from pgsteady.rehearse.sizes import Size
from pgsteady.rehearse.trace import Statement


@dataclass(kw_only=True)
class Rehearsal:
    """What the pending revisions did to a copy of the database.

    ``database`` is the live one, ``copy`` says in words on what was rehearsed,
    ``backup`` where the backup lies that it was restored from. ``forth``
    applied the revisions, ``back`` undid them and ``again`` applied them once more; what was
    not reached is None. ``undone`` says that undoing brought back schema and content as they
    were, ``lost`` what it does not bring back; ``way_back`` is how production goes back.
    ``lint`` is what lint says of the revisions, which is no part of the verdict.
    """

    database: str
    from_revisions: tuple[str, ...]
    to_revisions: tuple[str, ...]
    change_sha256: str
    began_at: datetime
    copy: str = ""
    backup: Path | None = None
    seconds: float = 0
    basis: Basis = field(default_factory=Basis)
    forth: Run | None = None
    back: Run | None = None
    again: Run | None = None
    sizes: list[Size] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    lint: list[Finding] = field(default_factory=list)
    undone: bool = False
    lost: list[str] = field(default_factory=list)
    way_back: list[str] = field(default_factory=list)

    @property
    def go(self) -> bool:
        """Whether nothing speaks against the change."""
        return not self.reasons

    @property
    def reasons(self) -> list[str]:
        """Why the change should not be made."""
        return [
            f"{finding.object}: {finding.message}"
            for finding in self.findings
            if finding.severity == Severity.ERROR
        ]

    @property
    def steps(self) -> list[Step]:
        """The revisions as they were applied the first time."""
        return self.forth.steps if self.forth else []

    def live_ms(self, statement: Statement) -> float:
        """Return how long the statement is expected to take on the live server."""
        worked_on = {lock.relation for lock in statement.locks} | set(statement.rewritten)
        return self.basis.live_ms(statement.ms, worked_on)

    @property
    def whole_size(self) -> tuple[int, int]:
        """What all tables and indexes take, before and after."""
        return (
            sum(size.before or 0 for size in self.sizes),
            sum(size.after or 0 for size in self.sizes),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the report as one document."""
        before, after = self.whole_size
        return {
            "go": self.go,
            "reasons": self.reasons,
            "database": self.database,
            "from_revisions": list(self.from_revisions),
            "to_revisions": list(self.to_revisions),
            "change_sha256": self.change_sha256,
            "began_at": self.began_at.isoformat(),
            "seconds": round(self.seconds, 1),
            "copy": self.copy,
            "backup": str(self.backup) if self.backup else None,
            "basis": asdict(self.basis),
            "upgrade": self._run(self.forth),
            "downgrade": self._run(self.back),
            "upgrade_again": self._run(self.again),
            "bytes": {"before": before, "after": after},
            "sizes": [asdict(size) for size in self.sizes],
            "findings": [finding.as_json() for finding in self.findings],
            "undone": self.undone,
            "lint": [finding.as_json() for finding in self.lint],
            "lost": self.lost,
            "way_back": self.way_back,
        }

    def markdown(self) -> str:
        """Return the report for a merge request."""
        return markdown(self)

    def html(self) -> str:
        """Return the report as a page that needs nothing else."""
        return html(self)

    def _run(self, run: Run | None) -> dict[str, Any] | None:
        if run is None:
            return None
        document = asdict(run)
        for step, said in zip(run.steps, document["steps"], strict=True):
            for statement, each in zip(step.statements, said["statements"], strict=True):
                each["live_ms"] = self.live_ms(statement)
        return document
