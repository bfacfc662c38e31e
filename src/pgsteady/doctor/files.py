"""The project's own files: what can be told without a database."""

from __future__ import annotations

import warnings

from pgsteady.doctor.examination import Answer, fault, not_known
from pgsteady.errors import ProjectUnreadable
from pgsteady.finding import Finding, Severity
from pgsteady.project import Project, quiet


def unreadable(project: Project) -> ProjectUnreadable | None:
    """Load every revision of the project; return why that cannot be done, if it cannot."""
    try:
        _read_revisions(project)
    except ProjectUnreadable as why:
        return why
    return None


def revisions(project: Project, why: ProjectUnreadable | None) -> Answer:
    """Tell whether all revisions can be read, and if not, why."""
    if why:
        return fault("revisions", why)
    return Answer(f"{project.ini}, revisions: {len(list(project.script.walk_revisions()))}")


def heads(project: Project, why: ProjectUnreadable | None) -> Answer:
    """Tell whether the history has one end."""
    if why:
        return not_known("the revisions cannot be read")
    found = sorted(project.script.get_heads())
    if len(found) < 2:
        return Answer(", ".join(found) or "the project has no revision yet")
    several = Finding(
        severity=Severity.ERROR,
        code="several-heads",
        object=", ".join(found),
        message="The history has several ends, so `alembic upgrade head` does not know which is "
        "meant; two branches each added a revision.",
        cure='Join them: alembic merge heads -m "merge"',
    )
    return Answer("", (several,))


def _read_revisions(project: Project) -> None:
    hint = f"Mend the file in {project.script.versions}."
    with warnings.catch_warnings(record=True) as said, quiet():
        warnings.simplefilter("always")
        try:
            list(project.script.walk_revisions())
        except Exception as error:  # revisions are the user's: anything may come out of them
            cause = "; ".join(str(warning.message) for warning in said) or _told(error)
            raise ProjectUnreadable(f"The revisions cannot be read: {cause}.", hint=hint) from error
    if twice := [str(w.message) for w in said if "present more than once" in str(w.message)]:
        raise ProjectUnreadable(f"The revisions cannot be told apart: {twice[0]}.", hint=hint)


def _told(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}: {error.msg}"
    return f"{type(error).__name__}: {error}"
