"""The project's own files: what can be told without a database."""

from __future__ import annotations

import warnings

from alembic.script import ScriptDirectory

from pgsteady.doctor.examination import Answer, fault, not_known
from pgsteady.errors import ProjectUnreadable
from pgsteady.finding import Finding, Severity
from pgsteady.project import Project, quiet


def read_revisions(project: Project) -> ScriptDirectory:
    """Load every revision of the project.

    Raises:
        ProjectUnreadable: one cannot be loaded, or does not fit the others.
    """
    script = ScriptDirectory.from_config(project.config)
    with warnings.catch_warnings(record=True) as said, quiet():
        warnings.simplefilter("always")
        try:
            list(script.walk_revisions())
        except Exception as error:  # revisions are the user's: anything may come out of them
            complaint = "; ".join(str(warning.message) for warning in said)
            raise ProjectUnreadable(
                f"The revisions cannot be read: {complaint or _told(error)}.",
                hint=f"Mend the file in {script.versions}.",
            ) from error
    if twice := [str(w.message) for w in said if "present more than once" in str(w.message)]:
        raise ProjectUnreadable(
            f"The revisions cannot be told apart: {'; '.join(twice)}.",
            hint="Give one of the files another revision id.",
        )
    return script


def revisions(project: Project) -> Answer:
    """Tell whether all revisions can be read."""
    try:
        script = read_revisions(project)
    except ProjectUnreadable as error:
        return fault("revisions", error)
    return Answer(f"{project.ini}, revisions: {len(list(script.walk_revisions()))}")


def heads(project: Project) -> Answer:
    """Tell whether the history has one end."""
    try:
        found = sorted(read_revisions(project).get_heads())
    except ProjectUnreadable:
        return not_known("the revisions cannot be read")
    if len(found) < 2:
        return Answer(", ".join(found) or "the project has no revision yet")
    return Answer(
        "",
        (
            Finding(
                severity=Severity.ERROR,
                code="several-heads",
                object=", ".join(found),
                message="The history has several ends, so `alembic upgrade head` does not know "
                "which is meant; two branches each added a revision.",
                cure='Join them: alembic merge heads -m "merge"',
            ),
        ),
    )


def _told(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}: {error.msg}"
    return f"{type(error).__name__}: {error}"
