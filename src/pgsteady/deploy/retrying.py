"""Attempts at one revision until a lock is free, as long as there is patience."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from sqlalchemy import Connection

from pgsteady.connection import LOCK_NOT_AVAILABLE
from pgsteady.deploy.attempt import Attempt, attempt
from pgsteady.deploy.interruption import Interruption
from pgsteady.deploy.sessions import Sessions
from pgsteady.errors import RevisionFailed
from pgsteady.progress import Progress
from pgsteady.project import Project
from pgsteady.status import ancestors, current_revisions

DEADLOCK_DETECTED = "40P01"
BASE_S, CAP_S = 0.5, 30.0


@dataclass
class Step:
    """One revision, and the attempts at it; ``expected_s`` is by the rehearsal's measure."""

    revision: str
    title: str
    expected_s: float | None = None
    attempts: list[Attempt] = field(default_factory=list)
    done: bool = False

    @property
    def seconds(self) -> float:
        """How long the attempts took, without the waits between them."""
        return sum(each.seconds for each in self.attempts)

    def as_json(self) -> dict[str, Any]:
        """Return what is known of it."""
        return {
            "revision": self.revision,
            "title": self.title,
            "done": self.done,
            "seconds": round(self.seconds, 3),
            "expected_s": self.expected_s,
            "attempts": [each.as_json() for each in self.attempts],
        }


@dataclass(frozen=True)
class Retries:
    """How long, and how, attempts are repeated.

    ``lock_timeout_s`` is for projects whose ``env.py`` sets none.
    """

    patience_s: float = 300
    lock_timeout_s: float = 5
    random: Callable[[], float] = random.random

    def wait_s(self, attempts: int) -> float:
        """Return how long to wait after so many attempts: exponential backoff, full jitter.

        M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015:
        ``sleep = random_between(0, min(cap, base * 2 ** attempt))``.
        """
        doublings = min(attempts, 10)  # past the cap long before
        return self.random() * float(min(CAP_S, BASE_S * 2**doublings))


@dataclass(frozen=True)
class Applying:
    """Applies revisions; ``observer`` is an autocommit connection for looking on.

    ``ours`` are the sessions of the attempt under way.
    """

    project: Project
    observer: Connection
    interruption: Interruption
    retries: Retries
    progress: Progress
    ours: set[int] = field(default_factory=set)

    def apply(self, step: Step) -> None:
        """Apply the revision of ``step``, again and again while it only waits for locks.

        What is not undone by a failure is not tried again.
        """
        give_up_s = time.monotonic() + self.retries.patience_s
        for number in count(1):
            tried = self._attempt(step, number)
            if tried.error is None:
                self._require_applied(step, tried)
            step.done = tried.error is None
            if step.done:
                self.progress.note(f"{step.revision} is applied ({step.seconds:.1f} s).")
                return
            wait_s = self.retries.wait_s(number)
            if not _again(tried, self.interruption) or time.monotonic() + wait_s > give_up_s:
                return
            self.progress.note(f"{_cause(tried)} Trying again in {wait_s:.1f} s.")
            self.interruption.sleep(wait_s)
            if self.interruption.times:
                return

    def _attempt(self, step: Step, number: int) -> Attempt:
        self.ours.clear()
        timeout_s = None if self.project.on_our_env else self.retries.lock_timeout_s
        sessions = Sessions(timeout_s, self.ours)
        title = step.revision + (f" (attempt {number})" if number > 1 else "")
        with self.progress.step(title, step.expected_s) as advance:
            tried = attempt(
                self.project,
                step.revision,
                self.observer,
                self.interruption,
                sessions,
                progress=self.progress,
                advance=advance,
            )
        step.attempts.append(tried)
        return tried

    def _require_applied(self, step: Step, tried: Attempt) -> None:
        """An ``env.py`` can run a revision and commit nothing; say so instead of going on."""
        current = current_revisions(self.project, self.observer)
        if step.revision not in ancestors(self.project, current):
            tried.error = RevisionFailed(
                f"{self.project.script.env_py_location} ran {step.revision} and committed nothing.",
                hint="It opens a transaction before context.configure(), as by executing SET; "
                "`alembic upgrade` commits nothing either.",
            )


def _again(tried: Attempt, interruption: Interruption) -> bool:
    """Tell whether it failed for a lock alone, with everything undone."""
    waited = tried.sqlstate in {LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED}
    return waited and not tried.committed and not interruption.times


def _cause(tried: Attempt) -> str:
    what = "Deadlock" if tried.sqlstate == DEADLOCK_DETECTED else "Lock timeout"
    if not tried.blockers:
        return f"{what}; who was in the way was not seen."
    return f"{what} after {tried.seconds:.1f} s, behind {'; '.join(map(str, tried.blockers))}."
