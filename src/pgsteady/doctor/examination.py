"""What an examination is: a function that looks at one thing and answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from pgsteady import audit
from pgsteady.audit import Record
from pgsteady.errors import PgSteadyError, ProjectUnreadable
from pgsteady.finding import Finding, Severity
from pgsteady.project import Project
from pgsteady.status import Status, read_status
from pgsteady.url import DatabaseUrl


class State(StrEnum):
    """How an examination ended."""

    OK = "ok"
    FINDING = "finding"
    NOT_KNOWN = "not known"


@dataclass(frozen=True)
class Answer:
    """What one examination saw: ``detail`` in a few words, and what it found wrong.

    Where ``known`` is false it could not look, or not everywhere, and ``detail`` says why.
    """

    detail: str
    findings: tuple[Finding, ...] = ()
    known: bool = True

    @property
    def state(self) -> State:
        """How it ended."""
        if self.findings:
            return State.FINDING
        return State.OK if self.known else State.NOT_KNOWN


@dataclass(frozen=True)
class Patient:
    """What is examined: a project and its database, through one connection."""

    project: Project
    database: DatabaseUrl
    connection: Connection
    unreadable: ProjectUnreadable | None = None
    """Why the revisions cannot be read."""

    @property
    def script(self) -> ScriptDirectory:
        """The project's revisions.

        Raises:
            ProjectUnreadable: they cannot be read.
        """
        if self.unreadable:
            raise self.unreadable
        return self.project.script

    @cached_property
    def status(self) -> Status:
        """Where the database stands in the project's history; raises as ``script``."""
        return read_status(replace(self.project, script=self.script), self.connection)

    @cached_property
    def audit(self) -> Sequence[Record]:
        """What pgsteady recorded in this database, oldest first."""
        return audit.history(self.connection)

    @cached_property
    def role(self) -> str:
        """Our role, as SQL writes it."""
        return str(self.connection.scalar(text("SELECT quote_ident(current_user)")))


@dataclass(frozen=True)
class Examination:
    """One examination; ``environment`` if of the server and the role, not the schema."""

    name: str
    look: Callable[[Patient], Answer]
    environment: bool = False


@dataclass(frozen=True)
class Result:
    """What one examination answered."""

    name: str
    answer: Answer
    environment: bool = False

    @property
    def prevents_work(self) -> bool:
        """Whether nothing goes on before the environment is set right."""
        return self.environment and any(
            finding.severity is Severity.ERROR for finding in self.answer.findings
        )


def fault(of: str, error: PgSteadyError) -> Answer:
    """Answer with an error of ours: its message and its hint."""
    message, _, _ = str(error).partition(f"\n{error.hint}")
    code = "".join(f"-{c.lower()}" if c.isupper() else c for c in type(error).__name__)
    found = Finding(
        severity=Severity.ERROR,
        code=code.strip("-"),
        object=of,
        message=message,
        cure=error.hint or "",
    )
    return Answer("", (found,))


def not_known(reason: str) -> Answer:
    """Answer that it cannot be known, and why."""
    return Answer(reason, known=False)
