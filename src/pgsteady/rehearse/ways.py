"""How a change is undone in production: the exact commands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from alembic.script import Script
from alembic.util import CommandError

from pgsteady.project import Project
from pgsteady.rehearse.report import Rehearsal


def ways_back(
    project: Project, rehearsal: Rehearsal, scripts: Sequence[Script], program: str
) -> list[str]:
    """Return the commands that undo the change: a downgrade that proved to, or a restore.

    ``program`` is how people call pgsteady.
    """
    targets = _targets(project, rehearsal, scripts) if rehearsal.undone else []
    if targets:
        return [f"alembic downgrade {target}" for target in targets]
    if rehearsal.backup:
        return [f"{program} restore {rehearsal.backup}"]
    return ["none: take a backup before, and restore it"]


def _targets(project: Project, rehearsal: Rehearsal, scripts: Sequence[Script]) -> list[str]:
    """Return targets of ``alembic downgrade`` that together undo exactly ``scripts``."""
    added = {script.revision for script in scripts}
    of_branches = list(_of_each_branch(scripts, added))
    candidates = [[one] for one in (*rehearsal.from_revisions, "base", *of_branches)]
    for targets in (*candidates, of_branches):
        undone = [_undone(project, target, rehearsal.to_revisions) for target in targets]
        if set().union(*undone) == added:
            return targets
    return []


def _undone(project: Project, target: str, heads: tuple[str, ...]) -> set[str]:
    try:
        steps = project.script._downgrade_revs(target, heads)  # type: ignore[arg-type]
    except CommandError:
        return set()
    return {step.revision.revision for step in steps}


def _of_each_branch(scripts: Sequence[Script], added: set[str]) -> Iterator[str]:
    """Yield for each branch, named by the lowest revision that was added, the one below."""
    for script in scripts:
        below = script._all_down_revisions
        if not added & set(below):
            yield f"{script.revision}@{min(below, default='base')}"
