"""How a change is undone in production: the exact commands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from alembic.script import Script
from alembic.util import CommandError

from pgsteady.project import Project
from pgsteady.rehearse.report import Rehearsal


def ways_back(
    project: Project, rehearsal: Rehearsal, scripts: Sequence[Script], restore: str
) -> list[str]:
    """Return the commands that undo the change: a downgrade that proved to, or a restore."""
    if rehearsal.undone:
        return [f"alembic downgrade {target}" for target in _targets(project, rehearsal, scripts)]
    if restore:
        return [f"python -m pgsteady {restore}"]
    return ["python -m pgsteady backup", "python -m pgsteady restore <that backup>"]


def _targets(project: Project, rehearsal: Rehearsal, scripts: Sequence[Script]) -> list[str]:
    """Return targets of ``alembic downgrade`` that together undo exactly ``scripts``."""
    added = {script.revision for script in scripts}
    for target in (*rehearsal.from_revisions, "base"):
        if _undone(project, target, rehearsal.to_revisions) == added:
            return [target]
    return list(_of_each_branch(scripts, added))


def _undone(project: Project, target: str, heads: tuple[str, ...]) -> set[str]:
    try:
        steps = project.script._downgrade_revs(target, heads)  # type: ignore[arg-type]
    except CommandError:
        return set()
    return {step.revision.revision for step in steps}


def _of_each_branch(scripts: Sequence[Script], added: set[str]) -> Iterator[str]:
    """Yield for each branch the revision below the lowest one that was added."""
    for script in scripts:
        below = script._all_down_revisions
        if not below:
            yield f"{script.revision}@base"
        elif not added & set(below):
            yield sorted(below)[0]
