"""Further checks that a project or an installed package brings.

A check is a callable that takes the connection and the project and returns findings:

    def recall(connection, project):
        yield Finding(severity=Severity.WARNING, code="low-recall", object=…, message=…)

A project names its own in ``alembic.ini``, a package in the entry-point group
``pgsteady.verify``:

    [pgsteady]
    verify = module:function another.module:function
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from pgsteady.errors import WrongDeclaration
from pgsteady.finding import Finding, Severity
from pgsteady.project import Project
from pgsteady.verify.digest import said_by

GROUP = "pgsteady.verify"

Check = Callable[[Connection, Project], Iterable[Finding]]


def further(connection: Connection, project: Project) -> Iterator[Finding]:
    """Run the further checks.

    Raises:
        WrongDeclaration: one of them cannot be loaded, or failed.
    """
    for title, check in _checks(project):
        try:
            with connection.begin_nested():
                found = list(check(connection, project))
        except DBAPIError as error:
            found = [
                Finding(
                    severity=Severity.ERROR,
                    code="failed-check",
                    object=f"check {title}",
                    message=f"it did not run: {said_by(error)}",
                )
            ]
        except Exception as error:  # the check is the user's: anything may come out of it
            raise WrongDeclaration(
                f"The check {title} failed: {type(error).__name__}: {error}"
            ) from error
        yield from found


def _checks(project: Project) -> Iterator[tuple[str, Check]]:
    section = project.config.file_config
    named = section.get("pgsteady", "verify", raw=True, fallback="").split()
    points = [EntryPoint(value, value, GROUP) for value in named]
    for point in [*points, *entry_points(group=GROUP)]:
        try:
            yield point.value, point.load()
        except (ImportError, AttributeError) as error:
            raise WrongDeclaration(
                f"The check {point.value} cannot be loaded: {error}.",
                hint="It is module:function, named by `verify` in [pgsteady] of alembic.ini, or "
                f"by an installed package in the entry-point group {GROUP}.",
            ) from error
