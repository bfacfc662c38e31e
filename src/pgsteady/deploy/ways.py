"""After a failure: what it left, and the exact commands to go on and to go back."""

from __future__ import annotations

import shlex
from dataclasses import replace

from pgsteady.declarations import Declarations
from pgsteady.deploy.order import Order
from pgsteady.deploy.report import Outcome, Report
from pgsteady.project import Project


def tell(report: Report, project: Project, declarations: Declarations, order: Order) -> None:
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
    first = [f"{order.program} status"] if unknown else []
    first += [f"{order.program} repair"] if half_done else []
    report.on = first + _on(report, order, changed=changed)
    report.back = _back(report, project, declarations, order.program) if changed else []


def behind(project: Project, current: tuple[str, ...], target: str) -> list[str]:
    """Return the command that leads back to ``target`` if the database is past it."""
    reached = project.script.revision_map._parse_upgrade_target(
        current, target, assert_relative_length=True
    )
    there = {getattr(script, "revision", None) for script in reached} & {*current}
    return [_downgrade(project, target)] if current and not there else []


def _on(report: Report, order: Order, *, changed: bool) -> list[str]:
    commands = []
    if "+" in order.target and len(report.to_revisions) == 1:
        order = replace(order, target=report.to_revisions[0])  # +N leads further from here
    if len(report.done) < len(report.steps) and report.outcome is not Outcome.REFUSED:
        if changed and report.without_rehearsal is None:
            commands.append(order.command("rehearse"))  # what is pending is another change now
        commands.append(order.again())
    if report.maintenance:
        commands.append(f"{order.program} maintenance off")
    return commands


def _back(report: Report, project: Project, declarations: Declarations, program: str) -> list[str]:
    commands = []
    lost = [declarations.irreversible.get(step.revision) for step in report.done]
    if report.done and len(report.from_revisions) <= 1 and not any(lost):
        commands.append(_downgrade(project, "".join(report.from_revisions) or "base"))
    if report.backup:
        commands.append(f"{program} restore {shlex.quote(str(report.backup))} --switch")
    return commands


def _downgrade(project: Project, target: str) -> str:
    return shlex.join(["alembic", *project.named_by, "downgrade", target])
