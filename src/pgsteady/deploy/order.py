"""What is asked of an upgrade, and the command that asks for the same again."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pgsteady.deploy.retrying import Retries
from pgsteady.deploy.watch import Limits


@dataclass(frozen=True)
class Order:
    """What is asked for.

    ``without_rehearsal`` is the reason for going on without one, ``backup`` a backup made
    just before, ``watch_s`` how long is watched after the last revision; without it and
    without limits, nothing is. ``program`` is how the reader calls pgsteady.
    """

    target: str = "heads"
    accept_lint: Collection[str] = ()
    without_rehearsal: str | None = None
    backup: Path | None = None
    retries: Retries = field(default_factory=Retries)
    maintenance: bool = False
    watch_s: float | None = None
    limits: Limits = field(default_factory=Limits)
    program: str = "python -m pgsteady"

    def command(self, name: str, *options: str) -> str:
        """Return the command line of ``name`` for this target."""
        target = [] if self.target == "heads" else [self.target]
        return f"{self.program} {shlex.join([name, *target, *options])}"

    def again(self) -> str:
        """Return the command line that goes on as this one was.

        It names no backup: others have written since, so a new one is made.
        """
        return self.command("upgrade", *self._options())

    def _options(self) -> Iterator[str]:
        for code in self.accept_lint:
            yield from ("--accept-lint", code)
        if self.without_rehearsal is not None:
            yield from ("--no-rehearsal", self.without_rehearsal)
        if self.maintenance:
            yield "--maintenance"
        patience_s = self.retries.patience_s
        for option, value, unit in (
            ("--patience", None if patience_s == Retries.patience_s else patience_s, "s"),
            ("--watch", self.watch_s, "s"),
            ("--max-blocked", self.limits.blocked, ""),
            ("--max-blocked-for", self.limits.blocked_for_s, "s"),
            ("--max-rollback-rate", self.limits.rollbacks_per_s, ""),
        ):
            if value is not None:
                yield from (option, f"{value:.10g}{unit}")
