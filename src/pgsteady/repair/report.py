"""What a repair found, what it does about it, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pgsteady.finding import Finding


@dataclass(frozen=True)
class Repair:
    """One thing that can be put right: what is wrong, what is done, and the doing.

    ``sql`` is what will be executed, as far as it is SQL.
    """

    object: str
    message: str
    action: str
    do: Callable[[], Any]
    sql: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return what it says."""
        return {
            "object": self.object,
            "message": self.message,
            "action": self.action,
            "sql": list(self.sql),
        }


@dataclass
class Report:
    """What was repaired, or would be, and what remains for a person."""

    dry_run: bool
    repairs: list[Repair] = field(default_factory=list)
    remaining: list[Finding] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left to be put right."""
        return not self.remaining and not (self.dry_run and self.repairs)

    def as_json(self) -> dict[str, Any]:
        """Return the report as one document."""
        return {
            "dry_run": self.dry_run,
            "whole": self.is_whole,
            "repairs": [repair.as_json() for repair in self.repairs],
            "remaining": [finding.as_json() for finding in self.remaining],
        }
