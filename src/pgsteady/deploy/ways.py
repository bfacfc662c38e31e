"""After a failure: what it left, and the exact commands to go on and to go back."""

from __future__ import annotations

import shlex
from pathlib import Path

from pgsteady.declarations import Declarations
from pgsteady.deploy.report import Outcome, Report
from pgsteady.project import Project


def tell(
    report: Report, project: Project, declarations: Declarations, *, program: str, target: str
) -> None:
    """Fill in what ``report`` says of the ways, now that all else is known."""
    failed, unknown = report.failed, report.current is None
    half_done = failed is not None and failed.attempts[-1].committed
    if failed and unknown:
        report.left = f"Whether {failed.revision} was applied is not known."
    elif failed and half_done:
        report.left = (
            f"{failed.revision} did not work in one transaction: what it had committed before it "
            "failed stays, such as an invalid index."
        )
    elif failed:
        report.left = f"All that {failed.revision} did was rolled back."
    changed = bool(report.done) or half_done or unknown
    first = [f"{program} status"] if unknown else []
    first += [f"{program} repair"] if half_done else []
    report.on = first + _on(report, program, target, changed=changed)
    report.back = _back(report, project, declarations, program) if changed else []


def _on(report: Report, program: str, target: str, *, changed: bool) -> list[str]:
    to = "" if target == "heads" else f" {shlex.quote(target)}"
    commands = []
    if len(report.done) < len(report.steps) and report.outcome is not Outcome.REFUSED:
        if changed and report.without_rehearsal is None:
            commands.append(f"{program} rehearse{to}")  # what is pending is another change now
        commands.append(f"{program} upgrade{to}")
    if report.maintenance:
        commands.append(f"{program} maintenance off")
    return commands


def _back(report: Report, project: Project, declarations: Declarations, program: str) -> list[str]:
    commands = []
    lost = [declarations.irreversible.get(step.revision) for step in report.done]
    if report.done and len(report.from_revisions) <= 1 and not any(lost):
        ini = (
            ""
            if project.ini == Path.cwd() / "alembic.ini"
            else f" -c {shlex.quote(str(project.ini))}"
        )
        commands.append(f"alembic{ini} downgrade {''.join(report.from_revisions) or 'base'}")
    if report.backup:
        commands.append(f"{program} restore {shlex.quote(str(report.backup))} --switch")
    return commands
