"""One attempt at one revision, by Alembic and the project's own ``env.py``, observed."""

from __future__ import annotations

import io
import time
from argparse import Namespace
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import alembic.command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, ObjectNotExecutableError

from pgsteady import guard
from pgsteady.connection import revision_failure, sqlstate
from pgsteady.deploy.blockers import Blocker, blockers
from pgsteady.deploy.interruption import Interruption
from pgsteady.deploy.sessions import Sessions
from pgsteady.errors import PgSteadyError, RevisionFailed
from pgsteady.progress import Advance, Progress
from pgsteady.project import Project, quiet

POLL_S = 0.1
_CANCEL = text("SELECT pg_cancel_backend(pid) FROM unnest(CAST(:pids AS int[])) AS pid")


@dataclass
class Attempt:
    """How one attempt went; ``blockers`` are the last ones that were seen.

    ``sqlstate`` is the server's code of what failed; ``committed`` as in :class:`Sessions`.
    """

    error: PgSteadyError | None
    sqlstate: str | None
    blockers: list[Blocker]
    committed: bool
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Return what is known of it."""
        return {
            "seconds": round(self.seconds, 3),
            "error": str(self.error) if self.error else None,
            "sqlstate": self.sqlstate,
            "blockers": [str(blocker) for blocker in self.blockers],
        }


def attempt(
    project: Project,
    revision: str,
    observer: Connection,
    interruption: Interruption,
    sessions: Sessions,
    *,
    progress: Progress,
    advance: Advance,
) -> Attempt:
    """Let Alembic upgrade to ``revision``, and say how it went.

    It runs in a thread of its own, while this one looks through ``observer`` who keeps it
    waiting. The first interruption cancels what can be rolled back, the second anything.
    """
    began_s = time.monotonic()
    seen: list[Blocker] = []
    heeded = 0
    with ThreadPoolExecutor(1, thread_name_prefix="revision") as pool:
        running = pool.submit(_upgrade, project, revision, sessions)
        while not _ended(running):
            advance(time.monotonic() - began_s)
            with suppress(DBAPIError):  # the revision's own connection says what is wrong
                seen = blockers(observer, sessions.pids) or seen
                if interruption.times and (not sessions.committed or interruption.times > 1):
                    observer.execute(_CANCEL, {"pids": list(sessions.pids)})
            if interruption.times > heeded:
                heeded = interruption.times
                progress.note(_heeding(revision, sessions, heeded))
    error = running.exception()
    return Attempt(
        error=_worded(error, project, revision) if error else None,
        sqlstate=sqlstate(error) if error else None,
        blockers=seen,
        committed=sessions.committed,
        seconds=time.monotonic() - began_s,
    )


def _worded(error: BaseException, project: Project, revision: str) -> PgSteadyError:
    """Say what failed without its SQL and values, which may be secret."""
    if isinstance(error, DBAPIError | ObjectNotExecutableError):
        return revision_failure(error, project.database())
    cause = error.__cause__
    if isinstance(error, CommandError):
        return cause if isinstance(cause, PgSteadyError) else RevisionFailed(str(error))
    said = str(error).strip().splitlines()[:1]
    return RevisionFailed(f"{revision} failed: {': '.join([type(error).__name__, *said])}")


def _ended(running: Future[None]) -> bool:
    return bool(wait([running], POLL_S).done)


def _heeding(revision: str, sessions: Sessions, times: int) -> str:
    if sessions.committed and times == 1:
        return (
            f"Stopping when {revision} has ended: a part of it is committed, and it would be "
            "left half done. Ask again to cancel it all the same."
        )
    return f"Cancelling {revision}."


def _upgrade(project: Project, revision: str, sessions: Sessions) -> None:
    config = Config(
        project.ini,
        toml_file=project.ini.with_name("pyproject.toml"),
        stdout=io.StringIO(),
        output_buffer=io.StringIO(),
        # The backup that the guard of plain alembic would make is made already.
        cmd_opts=Namespace(cmd=(alembic.command.upgrade, ["revision"], []), x=[guard.OPTION]),
    )
    with sessions.noted(), quiet():
        alembic.command.upgrade(config, revision)
